# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the user wants of an upload.

Private to the collection bigfile.oci.
"""

from __future__ import annotations

import typing as t

from ._plan import PART_SIZE_MIN, Plan, cut, whole


class Wish(t.NamedTuple):
    """What the user wants. Sizes in bytes; ``encryption_key`` has 32 bytes, None for a random key per upload."""

    path: str
    threshold: int = PART_SIZE_MIN
    split: int | None = None
    part_size: int | None = None
    threads: int = 4
    encrypt: bool = True
    encryption_key: bytes | None = None
    release_key: str = "with_parts"
    force: bool = True
    verify: str = "cached"
    mode: str | None = None
    check_mode: bool = False

    def __repr__(self) -> str:
        return f"Wish({self.path!r})"  # and not the key

    def plan(self, size: int) -> Plan:
        """How a new upload of a file of ``size`` bytes is cut."""
        if size < self.threshold:
            return whole(size, encrypted=self.encrypt)
        return cut(size, encrypted=self.encrypt, split=self.split, part_size=self.part_size)


__all__ = ["Wish"]
