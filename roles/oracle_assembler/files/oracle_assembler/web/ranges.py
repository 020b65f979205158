# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The Range header (RFC 9110, section 14): one range of bytes; several, or another unit, may be ignored and are."""

from __future__ import annotations

import re

from ..problems import Problem

# More digits than a file has bytes make no range. int() would refuse thousands of them.
_ONE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.IGNORECASE | re.ASCII)


def wanted(header: str | None, size: int) -> tuple[int, int] | None:
    """Begin and end (not included) of the wanted bytes; None: all of them.

    :raises Problem: ``range-not-satisfiable``.
    """
    found = _ONE.fullmatch(header or "")
    if not found or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        begin, end = max(0, size - int(last)), size
    else:
        begin, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < begin:
            return None
    if begin >= end:
        raise Problem("range-not-satisfiable", f"the file has {size} bytes", size=size)
    return begin, end


__all__ = ["wanted"]
