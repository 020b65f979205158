# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils import _errors
from ansible_collections.bigfile.oci.plugins.module_utils._errors import Refused, UploadError

TRANSIENT = {"Unreachable", "Damaged"}
KINDS = [name for name in _errors.__all__ if name != "Refused"]


@pytest.mark.parametrize("name", KINDS)
def test_every_error_says_whether_waiting_helps(name: str) -> None:
    error = getattr(_errors, name)("what went wrong")
    assert isinstance(error, UploadError)
    assert error.transient is (name in TRANSIENT)
    assert str(error) == "what went wrong"


def test_an_error_carries_facts_for_the_result() -> None:
    assert UploadError("x", parts=3).facts == {"parts": 3}


@pytest.mark.parametrize("transient", [True, False])
def test_a_refusal_is_as_transient_as_the_service_says(transient: bool) -> None:
    error = Refused("x", status=409, problem="part-conflict", transient=transient)
    assert (error.transient, error.members, error.retry_after) == (transient, {}, None)
    assert error.facts == {"status": 409, "problem": "part-conflict"}


def test_a_refusal_shows_the_id_under_which_the_service_has_logged_it() -> None:
    assert Refused("no", status=409, members={"request_id": "r-1"}).facts["request_id"] == "r-1"
    assert "request_id" not in Refused("no", status=502).facts


@pytest.mark.parametrize(("status", "by_service", "absent"), [(404, True, True), (404, False, False), (410, True, False)])
def test_only_the_service_can_say_that_there_is_no_such_thing(status: int, by_service: bool, absent: bool) -> None:
    assert Refused("no", status=status, by_service=by_service).is_absence is absent
