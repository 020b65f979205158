# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils._outcome import delivered, described, human, progress
from ansible_collections.bigfile.oci.plugins.module_utils._plan import Plan, Ranges

MiB = 1 << 20
PLAN = Plan(17 * MiB, 5 * MiB, False)
FACTS = {"path": "dumps/exp.dmp", "size": 17 * MiB, "sha256": "a" * 64, "mode": "0640"}


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (MiB, "1.0 MiB"),
        (4.6 * (1 << 30), "4.6 GiB"),
        (1 << 40, "1.0 TiB"),
        (1 << 52, "4096.0 TiB"),
    ],
)
def test_bytes_are_told_for_people(size: float, said: str) -> None:
    assert human(size) == said


@pytest.mark.parametrize(
    ("received", "said"),
    [
        ([], ""),
        ([[1, 1]], "1 of 4 parts, 5.0 MiB\n"),
        ([[1, 2], [4, 4]], "3 of 4 parts, 12.0 MiB\n"),
        ([[1, 4]], "4 of 4 parts, 17.0 MiB\n"),
    ],
)
def test_progress_is_parts_and_bytes(received: Ranges, said: str) -> None:
    assert progress(PLAN, received) == said


def test_a_file_is_described_in_lines() -> None:
    assert described(FACTS) == f"size: {17 * MiB}\nsha256: {'a' * 64}\nmode: 0640\n"


def test_a_file_without_a_digest_or_mode_says_so() -> None:
    assert described({**FACTS, "sha256": None, "mode": None}).splitlines()[1:] == ["sha256: not known before the file is read"]


def test_no_file_is_absent() -> None:
    assert described(None) == "absent\n"


def test_an_upload_from_nothing_counts_what_it_sent() -> None:
    sent = list(PLAN.parts([1, 2, 3, 4]))
    outcome = delivered(FACTS, PLAN, there=None, resumed=None, sent=sent, upload_id="1" * 32)
    assert outcome._asdict() == {
        "changed": True,
        "path": "dumps/exp.dmp",
        "size": 17 * MiB,
        "sha256": "a" * 64,
        "encrypted": False,
        "resumed": False,
        "upload_id": "1" * 32,
        "part_size": 5 * MiB,
        "parts": 4,
        "parts_sent": 4,
        "parts_present": 0,
        "bytes_sent": 17 * MiB,
        "before": "absent\n",
        "after": described(FACTS),
    }


def test_a_resumed_upload_counts_what_was_there() -> None:
    sent = list(PLAN.parts([2, 4]))
    outcome = delivered(FACTS, PLAN, there=FACTS, resumed={"received": [[1, 1], [3, 3]]}, sent=sent, upload_id="1")
    assert (outcome.resumed, outcome.parts_present, outcome.parts_sent, outcome.bytes_sent) == (True, 2, 2, 7 * MiB)
    assert outcome.before == described(FACTS) + "2 of 4 parts, 10.0 MiB\n"


def test_bytes_sent_count_what_crosses_the_wire() -> None:
    plan = Plan(17 * MiB, 5 * MiB, True)
    sent = list(plan.parts(range(1, plan.part_count + 1)))
    outcome = delivered(FACTS, plan, there=None, resumed=None, sent=sent, upload_id="1")
    assert outcome.bytes_sent == plan.layout.stream_size(17 * MiB) > 17 * MiB
