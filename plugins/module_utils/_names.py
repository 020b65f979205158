# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What an upload is called: its destination, its place in the journal, its source as the service is told of it.

Private to the collection bigfile.oci.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import typing as t

from ._errors import OptionError

_OWN_NAME = re.compile(r"\.[0-9a-f]{32}\.(segments|partial)")
"""Names beside a published file that belong to the service, see docs/protocol.md."""


def destination(source: str, dest: str | None) -> str:
    """The path below the user's root: the source's name when nothing is given, that name in the folder when ``dest`` ends with a slash.

    :raises OptionError: when the service would refuse it.
    """
    path = dest or os.path.basename(source)
    if path.endswith("/"):
        path += os.path.basename(source)
    shown = path.encode("utf-8", "backslashreplace").decode()
    if path.startswith("/") or any(name in ("", ".", "..") for name in path.split("/")):
        raise OptionError(f"the destination {shown} is not below the user's root: give a relative path, without . and .. in it")
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise OptionError(f"the name {shown} is not UTF-8; give another one with dest") from error
    for name in path.split("/"):
        if _OWN_NAME.fullmatch(name):
            raise OptionError(f"the destination {shown} has a name that the service uses itself; give another one with dest")
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
            raise OptionError(f"the name {shown!r} has control characters; give another one with dest")
        if len(name.encode("utf-8")) > 255:
            raise OptionError(f"the name {shown} is longer than the 255 bytes that a file system takes; give a shorter one with dest")
    return path


def journal_key(source: str, endpoint: str, path: str) -> str:
    """What an upload is filed under: this source, this service, this destination; 32 hexadecimal digits."""
    return _digest([source, endpoint, path])[:32]


def source_reference(source: str, identity: t.Sequence[int]) -> str:
    """What the service is told of the source: enough to know it again, nothing to read; 64 hexadecimal digits."""
    return _digest([source, *identity])


def _digest(members: list[t.Any]) -> str:
    return hashlib.sha256(json.dumps(members).encode("utf-8")).hexdigest()


__all__ = ["destination", "journal_key", "source_reference"]
