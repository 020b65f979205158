# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bigfile.oci.plugins.module_utils._errors import (
    Damaged,
    Refused,
    SourceChanged,
    Unreachable,
    UploadError,
)
from ansible_collections.bigfile.oci.plugins.module_utils._retry import Policy, persist


class Fails:
    """An action that raises what it is given, one after the other, and then succeeds."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def tried(action: Fails, *, retries: int = 10, random: float = 0.5) -> tuple[list[float], list[UploadError]]:
    """The pauses that were made, the errors that were noted; the action's last error is raised."""
    waits: list[float] = []
    noted: list[UploadError] = []
    done = persist(action, policy=Policy(retries=retries), wait=waits.append, random=lambda: random, noted=noted.append)
    assert done == "done"
    return waits, noted


def refused(retry_after: float | None = None, *, transient: bool = True) -> Refused:
    return Refused("no", status=503, transient=transient, retry_after=retry_after)


def test_a_success_waits_for_nothing() -> None:
    assert tried(Fails()) == ([], [])


@given(st.integers(0, 2000), st.floats(0, 1, exclude_max=True))
def test_the_pause_is_jitter_below_a_doubling_bound_with_a_cap(attempt: int, random: float) -> None:
    policy = Policy(base=0.5, cap=30.0)
    bound = 0.5 * 2.0 ** min(attempt, 20)
    assert policy.pause(attempt, None, random) == random * min(30.0, bound)


@pytest.mark.parametrize("asked", [0.0, 7.0, 120.0])
@pytest.mark.parametrize("random", [0.0, 0.999])
def test_what_the_service_asks_for_is_the_least(asked: float, random: float) -> None:
    assert Policy().pause(20, asked, random) >= max(asked, random * 30.0)


def test_a_retry_after_reaches_the_pause() -> None:
    assert tried(Fails(refused(7.0)), random=0.0)[0] == [7.0]


@pytest.mark.parametrize("error", [Unreachable("x"), Damaged("x"), refused()])
def test_a_transient_error_is_tried_again_and_noted(error: UploadError) -> None:
    action = Fails(error)
    assert tried(action)[1] == [error]
    assert action.calls == 2


@pytest.mark.parametrize("error", [SourceChanged("x"), refused(transient=False), UploadError("x"), OSError("x")])
def test_a_lasting_error_is_raised_at_once(error: Exception) -> None:
    action = Fails(error)
    with pytest.raises(type(error)):
        tried(action)
    assert action.calls == 1


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_retries_count_what_comes_after_the_first_try(retries: int) -> None:
    action = Fails(*[Unreachable(str(number)) for number in range(10)])
    with pytest.raises(Unreachable, match=f"^{retries}$"):
        tried(action, retries=retries)
    assert action.calls == retries + 1


def test_the_last_try_may_still_succeed() -> None:
    assert len(tried(Fails(*[Unreachable("x")] * 3), retries=3)[0]) == 3


def test_pauses_grow() -> None:
    assert tried(Fails(*[Unreachable("x")] * 4))[0] == [0.25, 0.5, 1.0, 2.0]


def test_an_interrupt_while_waiting_ends_it() -> None:
    def interrupted(unused: float) -> t.NoReturn:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        persist(
            Fails(Unreachable("x")),
            policy=Policy(),
            wait=interrupted,
            random=lambda: 0.0,
            noted=lambda unused: None,
        )


@pytest.mark.parametrize(("asked", "waited"), [(299.0, 299.0), (300.0, 300.0), (86400.0, 300.0)])
def test_what_is_asked_for_is_waited_for_within_reason(asked: float, waited: float) -> None:
    assert Policy().pause(0, asked, 0.5) == waited
