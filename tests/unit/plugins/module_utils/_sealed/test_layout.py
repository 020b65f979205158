# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bigfile.oci.plugins.module_utils._sealed.layout import (
    PLAIN,
    SEALED,
    SEGMENT_SIZE,
    Layout,
    Part,
    part,
    part_count,
)

FIRST = SEGMENT_SIZE - 40 - 16
"""Bytes of the file in a full first sealed segment."""

NEXT = SEGMENT_SIZE - 16
"""Bytes of the file in a full later one."""

TiB = 1 << 40

layouts = st.sampled_from([PLAIN, SEALED])
edges = st.builds(lambda segments, by: max(0, FIRST + segments * NEXT + by), st.integers(0, 40), st.integers(-2, 2))
sizes = st.one_of(st.integers(0, 64 * SEGMENT_SIZE), edges)
part_sizes = st.integers(1, 20).map(lambda count: count * SEGMENT_SIZE)


def all_parts(layout: Layout, size: int, part_size: int) -> list[Part]:
    return [part(layout, size, part_size, 1 + index) for index in range(part_count(layout, size, part_size))]


@pytest.mark.parametrize(
    ("size", "segments"),
    [(0, 1), (1, 1), (FIRST - 1, 1), (FIRST, 1), (FIRST + 1, 2), (FIRST + NEXT, 2), (FIRST + NEXT + 1, 3)],
)
def test_a_sealed_file_fills_its_segments_before_a_new_one_begins(size: int, segments: int) -> None:
    assert SEALED.segments(size) == segments


@pytest.mark.parametrize(("size", "segments"), [(0, 1), (1, 1), (SEGMENT_SIZE - 1, 1), (SEGMENT_SIZE, 1), (SEGMENT_SIZE + 1, 2)])
def test_a_plain_file_is_its_own_stream(size: int, segments: int) -> None:
    assert (PLAIN.segments(size), PLAIN.stream_size(size)) == (segments, size)


@pytest.mark.parametrize(("size", "overhead"), [(0, 56), (1, 56), (FIRST, 56), (FIRST + 1, 72), (FIRST + NEXT, 72)])
def test_a_sealed_stream_is_longer_by_its_header_and_a_tag_for_each_segment(size: int, overhead: int) -> None:
    assert SEALED.stream_size(size) == size + overhead


@pytest.mark.parametrize("segment", [1, 2, 100])
def test_every_full_segment_ends_on_a_mebibyte_of_the_stream(segment: int) -> None:
    size = SEALED.offset(segment)
    assert SEALED.stream_size(size) == segment * SEGMENT_SIZE


@given(layouts, sizes, part_sizes)
def test_the_parts_tile_the_file(layout: Layout, size: int, part_size: int) -> None:
    end = 0
    for piece in all_parts(layout, size, part_size):
        assert piece.offset == end
        end += piece.size
    assert end == size


@given(layouts, sizes, part_sizes)
def test_the_parts_tile_the_stream_and_all_but_the_last_are_full(layout: Layout, size: int, part_size: int) -> None:
    lengths = [piece.stream_size for piece in all_parts(layout, size, part_size)]
    assert sum(lengths) == layout.stream_size(size)
    assert set(lengths[:-1]) <= {part_size}
    assert lengths[-1] <= part_size


@given(layouts, sizes, part_sizes)
def test_the_segments_tile_the_parts(layout: Layout, size: int, part_size: int) -> None:
    expected = 0
    for piece in all_parts(layout, size, part_size):
        rows = list(piece.segment_sizes(layout))
        assert [segment for segment, *unused in rows] == list(range(expected, expected + piece.segments))
        assert sum(length for unused, length, unused_last in rows) == piece.size
        expected += piece.segments
    assert expected == layout.segments(size)


@given(layouts, sizes, part_sizes)
def test_only_the_very_last_segment_is_the_last(layout: Layout, size: int, part_size: int) -> None:
    flags = [last for piece in all_parts(layout, size, part_size) for *unused, last in piece.segment_sizes(layout)]
    assert flags == [False] * (len(flags) - 1) + [True]


@given(layouts, sizes, part_sizes)
def test_no_part_and_no_segment_is_empty_but_those_of_an_empty_file(layout: Layout, size: int, part_size: int) -> None:
    for piece in all_parts(layout, size, part_size):
        smallest = min(length for unused, length, unused_last in piece.segment_sizes(layout))
        assert (smallest > 0) == (size > 0)


@settings(max_examples=30)
@given(layouts, st.integers(0, 4096 * TiB - 16 * TiB), st.integers(0, 10_000))
def test_huge_files_are_cut_without_rounding(layout: Layout, size: int, number: int) -> None:
    part_size = -(-size // (9_999 * SEGMENT_SIZE)) * SEGMENT_SIZE or SEGMENT_SIZE
    count = part_count(layout, size, part_size)
    piece = part(layout, size, part_size, min(1 + number, count))
    assert piece.offset == max(0, piece.first_segment * (SEGMENT_SIZE - layout.tag) - layout.header)
    assert piece.last == (piece.offset + piece.size == size)


@pytest.mark.parametrize("number", [-1, 0, 4, 1 << 40])
def test_a_part_outside_the_file_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"no part {number} "):
        part(PLAIN, 3 * SEGMENT_SIZE, SEGMENT_SIZE, number)
