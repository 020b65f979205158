# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils._wish import Wish

MiB = 1 << 20


@pytest.mark.parametrize(("size", "parts"), [(0, 1), (10 * MiB - 1, 1), (10 * MiB, 2), (10 * MiB + 1, 3), (20 * MiB, 4)])
def test_a_file_below_the_threshold_is_one_part(size: int, parts: int) -> None:
    assert Wish("x", threshold=10 * MiB, part_size=5 * MiB, encrypt=False).plan(size).part_count == parts


@pytest.mark.parametrize(
    ("wish", "part_size"),
    [
        (Wish("x"), 16 * MiB),
        (Wish("x", split=2), 51 * MiB),
        (Wish("x", part_size=7 * MiB), 7 * MiB),
        (Wish("x", encrypt=False, split=2), 50 * MiB),
    ],
)
def test_a_large_file_is_cut_as_the_user_wants(wish: Wish, part_size: int) -> None:
    plan = wish.plan(100 * MiB)
    assert (plan.part_size, plan.encrypted) == (part_size, wish.encrypt)


def test_files_are_encrypted_unless_the_user_says_no() -> None:
    assert Wish("x").plan(1).encrypted
    assert not Wish("x", encrypt=False).plan(1).encrypted


def test_a_wish_does_not_show_its_key() -> None:
    key = b"0123456789abcdef0123456789abcdef"
    assert "0123456789abcdef" not in f"{Wish('x', encryption_key=key)} {Wish('x', encryption_key=key)!r}"
