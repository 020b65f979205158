# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which paths are accepted below a user's root, and the names that the service keeps for itself.

Pure: nothing here touches the disk. Never let an unparsed path past this file.
"""

from __future__ import annotations

import re
import unicodedata

from ..problems import Problem

Components = tuple[str, ...]

COMPONENT_MAX = 255
PATH_MAX = 4096
_OWN = re.compile(r"\.([0-9a-f]{32})\.(?:segments|partial)")


def parse(text: str) -> Components:
    """The components of a relative path, at least one.

    :raises Problem: ``path-refused`` with the reason.
    """
    if len(_encoded(text)) > PATH_MAX:
        raise _refused(f"a path has at most {PATH_MAX} bytes")
    components = tuple(text.split("/"))
    for component in components:
        _check(component)
    return components


def _check(component: str) -> None:
    if component in ("", ".", ".."):
        raise _refused("a path is relative, without '.', '..' or empty components")
    if len(_encoded(component)) > COMPONENT_MAX:
        raise _refused(f"a component of a path has at most {COMPONENT_MAX} bytes")
    if any(unicodedata.category(character) == "Cc" for character in component):
        raise _refused("a path has no NUL or other control characters")
    if is_own(component):
        raise _refused("the service uses names like this one itself")


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _refused("a path is UTF-8") from error


def _refused(why: str) -> Problem:
    return Problem("path-refused", why)


def is_own(name: str) -> bool:
    """Whether the service keeps names like this for itself."""
    return _OWN.fullmatch(name) is not None


def own_id(name: str) -> str | None:
    """The upload that a name of the service's own belongs to, None for all other names."""
    found = _OWN.fullmatch(name)
    return found.group(1) if found else None


def segments_name(upload_id: str) -> str:
    """The folder with an upload's parts."""
    return f".{upload_id}.segments"


def partial_name(upload_id: str) -> str:
    """The file with an upload's payload, before it is published."""
    return f".{upload_id}.partial"


__all__ = ["Components", "is_own", "own_id", "parse", "partial_name", "segments_name"]
