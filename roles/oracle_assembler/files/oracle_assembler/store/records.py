# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What was begun, one small file for each upload; later its receipt.

A record is written whole and never holds a key: after a restart it says which uploads there are, and the
segments folder says what was received of them.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import re
import time
import typing as t

from .._sealed.cipher import SCHEME
from .._sealed.layout import PLAIN, SEALED, SEGMENT_SIZE, Layout, Part, part, part_count
from ..problems import Problem
from .paths import Components
from .tree import Identity
from .whole import open_folder, read_whole, unlink_if_there, write_whole

RECEIVING = "receiving"
PUBLISHING = "publishing"
PUBLISHED = "published"
ENDING = "ending"
"""Abort or expiry has begun: whatever is still there goes."""
SINGLE = "single"
"""A file in one request: nothing of it survives a restart."""
AT_STITCH = "at_stitch"

_NAME = re.compile(r"([0-9a-f]{32})\.json")


@dataclasses.dataclass(frozen=True)
class Record:
    """An upload as it was begun; ``header`` is base64 or, for a plain upload, None; ``created`` is seconds of the epoch.

    On its way to being published it says what the file will be known by, and the receipt that is given then.
    """

    id: str
    user: str
    path: str
    size: int
    part_size: int
    parts: int
    header: str | None
    release_key: str
    source: str
    created: float
    state: str = RECEIVING
    receipt: dict[str, t.Any] | None = None
    identity: Identity | None = None
    finished: float | None = None

    @property
    def layout(self) -> Layout:
        """The geometry of the stream."""
        return PLAIN if self.header is None else SEALED

    @property
    def header_bytes(self) -> bytes:
        """The header of a sealed stream."""
        return base64.b64decode(self.header or "")

    @property
    def sealing(self) -> dict[str, str] | None:
        """How the begin call said it."""
        return None if self.header is None else {"scheme": SCHEME, "header": self.header}

    @property
    def held_sealed(self) -> bool:
        """Whether parts wait for a key that comes with the stitch call."""
        return self.header is not None and self.release_key == AT_STITCH

    @property
    def stream_size(self) -> int:
        """Bytes that travel."""
        return self.layout.stream_size(self.size)

    @property
    def components(self) -> Components:
        """The path, in components."""
        return tuple(self.path.split("/"))

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self.components[-1]

    def part(self, number: int) -> Part:
        """The part of that number.

        :raises Problem: ``part-unknown``.
        """
        try:
            return part(self.layout, self.size, self.part_size, number)
        except ValueError as error:
            raise Problem("part-unknown", f"this upload has parts 1 to {self.parts}") from error

    def wire_sizes(self, part_: Part) -> t.Iterator[int]:
        """Bytes of each segment of a part as it travels."""
        layout = self.layout
        for segment, size, _last in part_.segment_sizes(layout):
            yield size + layout.tag + (layout.header if segment == 0 else 0)

    def begins_like(self, other: Record) -> bool:
        """Whether both were begun by the same call."""
        return self.begun() == other.begun()

    def begun(self) -> tuple[t.Any, ...]:
        """What the begin call said."""
        return (self.id, self.user, self.path, self.size, self.part_size, self.parts, self.header, self.release_key, self.source)


def expected_parts(*, sealed: bool, size: int, part_size: int) -> int:
    """The number of parts of an upload, see docs/format.md."""
    return part_count(SEALED if sealed else PLAIN, size, part_size)


def single(upload_id: str, user: str, components: Components, *, size: int, header: str | None) -> Record:
    """The record of a file that comes in one request: one part, as long as it takes."""
    layout = PLAIN if header is None else SEALED
    part_size = layout.segments(size) * SEGMENT_SIZE
    path = "/".join(components)
    return Record(upload_id, user, path, size, part_size, 1, header, "with_parts", "", time.time(), SINGLE)


class Records:
    """All records in ``<state>/uploads``."""

    def __init__(self, state_dir: str) -> None:
        self._folder = os.path.join(state_dir, "uploads")

    def save(self, record: Record) -> Record:
        """Write it whole; a single file's record need not survive a power cut."""
        with open_folder(self._folder) as folder:
            data = json.dumps(dataclasses.asdict(record)).encode()
            write_whole(folder, f"{record.id}.json", data, durable=record.state != SINGLE)
        return record

    def change(self, record: Record, **changes: t.Any) -> Record:
        """Save it with these members changed."""
        return self.save(dataclasses.replace(record, **changes))

    def delete(self, upload_id: str) -> None:
        """Forget it."""
        with open_folder(self._folder) as folder:
            unlink_if_there(folder, f"{upload_id}.json")

    def ids(self) -> set[str]:
        """Of all records, readable or not."""
        with open_folder(self._folder) as folder:
            return {found.group(1) for found in map(_NAME.fullmatch, os.listdir(folder)) if found}

    def load_all(self) -> t.Iterator[tuple[str, Record | None]]:
        """Every record by id; None for one that cannot be read.

        An empty one is that of a single file in a power cut, as it was not synced. It goes, and so do the leftovers, being orphans now.
        """
        with open_folder(self._folder) as folder:
            for name in sorted(os.listdir(folder)):
                found = _NAME.fullmatch(name)
                data = read_whole(folder, name) if found else b""
                if found and data.strip(b"\0"):
                    yield found.group(1), _parse(data)
                elif found:
                    unlink_if_there(folder, name)


def _parse(data: bytes) -> Record | None:
    try:
        return Record(**json.loads(data))
    except (ValueError, TypeError):
        return None


__all__ = [
    "AT_STITCH", "ENDING", "PUBLISHED", "PUBLISHING", "RECEIVING", "SINGLE",
    "Record", "Records", "expected_parts", "single",
]  # fmt: skip
