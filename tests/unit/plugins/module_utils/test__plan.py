# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bigfile.oci.plugins.module_utils._errors import OptionError
from ansible_collections.bigfile.oci.plugins.module_utils._plan import (
    PART_SIZE_LARGE,
    PART_SIZE_MIN,
    PART_SIZE_SMALL,
    PARTS_MAX,
    Plan,
    Ranges,
    as_ranges,
    bytes_in,
    cut,
    missing,
    numbers,
    whole,
)

MiB = 1 << 20
TiB = 1 << 40

sizes = st.one_of(st.integers(0, 100 * MiB), st.integers(0, 64 * TiB))
part_numbers = st.sets(st.integers(1, 40))


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize("size", [0, 1, 5 * MiB - 1, 5 * MiB, 5 * MiB + 1, 20 * MiB])
def test_a_whole_file_is_one_part(size: int, encrypted: bool) -> None:
    assert whole(size, encrypted=encrypted).part_count == 1


@pytest.mark.parametrize(
    ("size", "split", "parts", "part_size"),
    [
        (0, 1, 1, 5 * MiB),
        (300 * MiB, 1, 1, 300 * MiB),
        (300 * MiB - 1, 3, 3, 100 * MiB),
        (300 * MiB + 1, 3, 3, 101 * MiB),
        (300 * MiB, 3, 3, 100 * MiB),
        (300 * MiB, 7, 7, 43 * MiB),
        (300 * MiB, 60, 60, 5 * MiB),
        (300 * MiB, 61, 60, 5 * MiB),
        (300 * MiB, 1000, 60, 5 * MiB),
        (5000 * MiB, 1000, 1000, 5 * MiB),
    ],
)
def test_a_plain_file_is_split_into_the_number_of_parts_wanted(size: int, split: int, parts: int, part_size: int) -> None:
    plan = cut(size, encrypted=False, split=split)
    assert (plan.part_count, plan.part_size) == (parts, part_size)


@given(sizes, st.integers(1, 20_000), st.booleans())
def test_a_split_gives_at_most_as_many_parts_as_wanted_and_allowed(size: int, split: int, encrypted: bool) -> None:
    assert 1 <= cut(size, encrypted=encrypted, split=split).part_count <= min(split, PARTS_MAX)


@given(sizes, st.one_of(st.none(), st.integers(1, 20_000)), st.booleans())
def test_parts_are_whole_mebibytes_five_at_least(size: int, split: int | None, encrypted: bool) -> None:
    part_size = cut(size, encrypted=encrypted, split=split).part_size
    assert part_size >= PART_SIZE_MIN
    assert part_size % MiB == 0


@given(sizes, st.integers(PART_SIZE_MIN, 1000 * MiB), st.booleans())
def test_parts_grow_only_where_there_would_be_more_than_ten_thousand(size: int, part_size: int, encrypted: bool) -> None:
    plan = cut(size, encrypted=encrypted, part_size=part_size)
    rounded = -(-part_size // MiB) * MiB
    assert plan.part_count <= PARTS_MAX
    assert plan.part_size == rounded or Plan(size, rounded, encrypted).part_count > PARTS_MAX


@pytest.mark.parametrize(
    ("size", "part_size"),
    [
        (0, PART_SIZE_SMALL),
        (64 * PART_SIZE_SMALL, PART_SIZE_SMALL),
        (64 * (PART_SIZE_SMALL + MiB) - 1, PART_SIZE_SMALL),
        (64 * (PART_SIZE_SMALL + MiB), PART_SIZE_SMALL + MiB),
        (64 * PART_SIZE_LARGE + 64 * MiB, PART_SIZE_LARGE),
        (PARTS_MAX * PART_SIZE_LARGE, PART_SIZE_LARGE),
        (PARTS_MAX * PART_SIZE_LARGE + 1, PART_SIZE_LARGE + MiB),
        (4096 * TiB, 429_497 * MiB),
    ],
)
def test_parts_are_a_sixty_fourth_within_bounds_when_nothing_is_asked(size: int, part_size: int) -> None:
    assert cut(size, encrypted=False).part_size == part_size


@pytest.mark.parametrize(("asked", "given"), [(5 * MiB, 5 * MiB), (5 * MiB + 1, 6 * MiB), (6 * MiB - 1, 6 * MiB), (6 * MiB, 6 * MiB)])
def test_a_part_size_is_rounded_up_to_whole_mebibytes(asked: int, given: int) -> None:
    assert cut(TiB, encrypted=False, part_size=max(asked, 105 * MiB)).part_size % MiB == 0
    assert cut(100 * MiB, encrypted=False, part_size=asked).part_size == given


@pytest.mark.parametrize("part_size", [-1, 0, 1, PART_SIZE_MIN - 1])
def test_a_part_size_below_five_mebibytes_is_refused(part_size: int) -> None:
    with pytest.raises(OptionError, match=f"part_size is {part_size} bytes; parts have at least 5 MiB"):
        cut(TiB, encrypted=True, part_size=part_size)


@pytest.mark.parametrize("split", [-1, 0])
def test_a_split_into_fewer_than_one_part_is_refused(split: int) -> None:
    with pytest.raises(OptionError, match=f"at least 1, not {split}$"):
        cut(TiB, encrypted=True, split=split)


def test_what_sealing_adds_counts_so_that_the_number_of_parts_holds() -> None:
    assert cut(300 * MiB, encrypted=True, split=3).part_count == 3


# Ranges


@given(part_numbers)
def test_ranges_name_exactly_the_parts_they_are_made_of(parts: set[int]) -> None:
    assert list(numbers(as_ranges(parts))) == sorted(parts)


@given(part_numbers)
def test_ranges_are_ascending_and_do_not_touch(parts: set[int]) -> None:
    ranges = as_ranges(parts)
    assert all(first <= last for first, last in ranges)
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(ranges))


@given(part_numbers, st.booleans())
def test_what_is_missing_is_what_was_not_received(parts: set[int], encrypted: bool) -> None:
    plan = Plan(39 * 5 * MiB, 5 * MiB, encrypted)
    assert missing(plan, as_ranges(parts)) == [number for number in range(1, plan.part_count + 1) if number not in parts]


@pytest.mark.parametrize(("ranges", "expected"), [([], [1, 2, 3]), ([[1, 3]], []), ([[2, 2]], [1, 3]), ([[3, 3], [1, 1]], [2])])
def test_missing_parts_are_told_in_order(ranges: Ranges, expected: list[int]) -> None:
    assert missing(Plan(15 * MiB, 5 * MiB, False), ranges) == expected


@given(part_numbers.map(lambda parts: {number for number in parts if number <= 8}), st.booleans())
def test_bytes_in_ranges_are_the_bytes_of_their_parts(parts: set[int], encrypted: bool) -> None:
    plan = Plan(38 * MiB - 7, 5 * MiB, encrypted)
    assert bytes_in(plan, as_ranges(parts)) == sum(plan.part(number).size for number in parts)
