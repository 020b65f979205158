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
