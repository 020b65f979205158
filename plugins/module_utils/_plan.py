# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How a file is cut into parts, and which parts are missing. Values in, values out.

Private to the collection bigfile.oci.
"""

from __future__ import annotations

import typing as t

from ._errors import OptionError
from ._sealed.layout import PLAIN, SEALED, SEGMENT_SIZE, Layout, Part, part, part_count

PART_SIZE_MIN = 5 * SEGMENT_SIZE
PART_SIZE_SMALL, PART_SIZE_LARGE = 16 * SEGMENT_SIZE, 64 * SEGMENT_SIZE
"""What we think best lies between: small parts lose little when a connection ends, large ones cost fewer requests (about 8 ms of CPU each)."""

PARTS_WANTED = 64
PARTS_MAX = 10_000

Ranges = list[list[int]]
"""Part numbers as the protocol writes them: ``[[first, last], …]``, both ends included, ascending."""


class Plan(t.NamedTuple):
    """How one upload is cut; fixed when it begins. ``size`` counts bytes of the file, ``part_size`` of the stream."""

    size: int
    part_size: int
    encrypted: bool

    @property
    def layout(self) -> Layout:
        """The geometry of the stream."""
        return SEALED if self.encrypted else PLAIN

    @property
    def part_count(self) -> int:
        """Number of parts."""
        return part_count(self.layout, self.size, self.part_size)

    def part(self, number: int) -> Part:
        """The part with this number, from 1."""
        return part(self.layout, self.size, self.part_size, number)

    def parts(self, numbers: t.Iterable[int]) -> t.Iterator[Part]:
        """The parts with these numbers."""
        return (self.part(number) for number in numbers)


def whole(size: int, *, encrypted: bool) -> Plan:
    """The plan of a file that goes up in one part."""
    layout = SEALED if encrypted else PLAIN
    return Plan(size, _whole_segments(layout.stream_size(size)), encrypted)


def cut(
    size: int,
    *,
    encrypted: bool,
    split: int | None = None,
    part_size: int | None = None,
) -> Plan:
    """Cut a file of ``size`` bytes into ``split`` parts, or into parts of ``part_size`` bytes, or as we think best.

    Parts have at least 5 MiB, a whole number of MiB, and grow where there would be more than 10,000.

    :raises OptionError: when ``split`` or ``part_size`` cannot be meant.
    """
    stream_size = (SEALED if encrypted else PLAIN).stream_size(size)
    if split is not None:
        if split < 1:
            raise OptionError(f"split is the number of parts wanted and at least 1, not {split}")
        part_size = max(-(-stream_size // split), PART_SIZE_MIN)
    elif part_size is None:
        part_size = min(max(stream_size // PARTS_WANTED // SEGMENT_SIZE * SEGMENT_SIZE, PART_SIZE_SMALL), PART_SIZE_LARGE)
    elif part_size < PART_SIZE_MIN:
        raise OptionError(f"part_size is {part_size} bytes; parts have at least 5 MiB (5M)")
    return Plan(size, _whole_segments(max(part_size, -(-stream_size // PARTS_MAX))), encrypted)


def _whole_segments(size: int) -> int:
    return max(1, -(-size // SEGMENT_SIZE)) * SEGMENT_SIZE


def missing(plan: Plan, received: Ranges) -> list[int]:
    """The numbers of the parts that are not in ``received``, ascending."""
    there = set(numbers(received))
    return [number for number in range(1, plan.part_count + 1) if number not in there]


def numbers(ranges: Ranges) -> t.Iterator[int]:
    """The part numbers in ``ranges``."""
    return (number for first, last in ranges for number in range(first, last + 1))


def bytes_in(plan: Plan, ranges: Ranges) -> int:
    """Bytes of the file in the parts of ``ranges``."""
    return sum(plan.part(last).offset + plan.part(last).size - plan.part(first).offset for first, last in ranges)


def as_ranges(parts: t.Iterable[int]) -> Ranges:
    """Part numbers, in any order, as ranges."""
    ranges: Ranges = []
    for number in sorted(parts):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges


__all__ = [
    "PARTS_MAX",
    "PART_SIZE_LARGE",
    "PART_SIZE_MIN",
    "PART_SIZE_SMALL",
    "Plan",
    "Ranges",
    "as_ranges",
    "bytes_in",
    "cut",
    "missing",
    "numbers",
    "whole",
]
