"""How Ansible is run: one task ad hoc, or a loop over many files in a playbook, without gathering facts."""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

from .. import measure

Mapping = t.Mapping[str, str]


def adhoc(module: str, options: t.Mapping[str, t.Any], host: str, environment: Mapping, **sides: t.Any) -> measure.Measured:
    """``ansible HOST -m MODULE``; ``sides`` are those of :func:`measure.run`."""
    words = ["ansible", host, *_inventory(host), "-m", module, "-a", json.dumps(options)]
    return measure.run(words, environment=environment, **sides)


def loop(
    module: str, orders: t.Sequence[t.Mapping[str, t.Any]], host: str, room: Path, environment: Mapping, **sides: t.Any
) -> measure.Measured:
    """A playbook of one task that loops over files, by options that differ in nothing but src and dest; it is written to ``room``."""
    options = {**orders[0], "src": "{{ item.src }}", "dest": "{{ item.dest }}"}
    files = [{"src": order["src"], "dest": order["dest"]} for order in orders]
    book = room / "playbook.json"
    book.write_text(json.dumps([{"name": "Send all", "hosts": host, "gather_facts": False, "tasks": [{module: options, "loop": files}]}]))
    return measure.run(["ansible-playbook", *_inventory(host), book], environment=environment, **sides)


def result(measured: measure.Measured) -> dict[str, t.Any]:
    """The module's result out of what ``ansible`` printed."""
    found: dict[str, t.Any] = json.loads(measured.output[measured.output.index("{") :])
    return found


def _inventory(host: str) -> list[str]:
    """The host by its name, with the Python that has our module's libraries: nobody has to look for one."""
    connection = ["-c", "local"] if host == "localhost" else []
    return ["-i", f"{host},", *connection, "-e", f"ansible_python_interpreter={sys.executable}"]
