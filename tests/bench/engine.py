"""The engine alone: what the module does between reading its options and printing its result, without Ansible around it.

Run as a process with a list of the module's options in JSON on stdin, one for each file; prints the seconds that the uploads took and their results.
It calls the module's own function, so that it stays what the module does; but many files share one connection and one journal.
"""

from __future__ import annotations

import json
import sys
import time
import typing as t
from unittest import mock

from ansible_collections.bigfile.oci.plugins.module_utils import _options
from ansible_collections.bigfile.oci.plugins.modules import oci_chunked_upload

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


class Options:
    """What the module's function asks of an AnsibleModule."""

    check_mode = False

    def __init__(self, given: dict[str, t.Any]) -> None:
        specs = t.cast("dict[str, dict[str, t.Any]]", oci_chunked_upload.ARGUMENT_SPEC)
        defaults = {name: spec.get("default") for name, spec in specs.items()}
        self.params = {**defaults, **given}

    def debug(self, text: str) -> None:
        """Drop what only a log would show."""

    def warn(self, text: str) -> None:
        """Show a warning."""
        print(text, file=sys.stderr)


Made = t.TypeVar("Made")


def shared(make: t.Callable[..., Made]) -> t.Callable[..., Made]:
    """``make``, but what it makes first serves all."""
    made: list[Made] = []

    def first(*given: t.Any) -> Made:
        if not made:
            made.append(make(*given))
        return made[0]

    return first


def upload(given: dict[str, t.Any]) -> dict[str, t.Any]:
    """Upload one file by the options ``given``; the module's result."""
    return oci_chunked_upload.run(t.cast("AnsibleModule", Options(given)))


def main() -> None:
    """Upload all files that stdin asks for, one after the other."""
    orders = json.load(sys.stdin)
    with mock.patch.multiple(_options, service=shared(_options.service), journal=shared(_options.journal)):
        begun = time.perf_counter()
        results = [upload(order) for order in orders]
    print(json.dumps({"seconds": time.perf_counter() - begun, "results": results}))


if __name__ == "__main__":
    main()
