# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Passwords, tokens, and slowing down who guesses."""

from __future__ import annotations

import asyncio
import secrets
import time
from unittest import mock

import jwt
import pytest

from oracle_assembler.attempts import FREE, TABLE_MAX, WAIT_MAX, WAITING_MAX, Attempts
from oracle_assembler.problems import Problem
from oracle_assembler.tokens import Passwords, Tokens, hash_password, parse_phc

PASSWORD = secrets.token_urlsafe(9)
HASHES = {"dba": hash_password(PASSWORD, ln=4, r=1, p=1)}
KEY = secrets.token_bytes(32)


def test_only_the_right_password_of_a_known_user_is_accepted() -> None:
    passwords = Passwords(HASHES)
    assert passwords.check("dba", PASSWORD)
    assert not passwords.check("dba", PASSWORD + "x")
    assert not passwords.check("nobody", PASSWORD)
    assert not Passwords({}).check("nobody", PASSWORD)


def test_a_hash_carries_its_own_cost_and_defaults_to_14_8_5() -> None:
    assert hash_password(PASSWORD).startswith("$scrypt$ln=14,r=8,p=5$")
    assert parse_phc(HASHES["dba"])[:3] == (4, 1, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$scrypt$",
        "$argon2id$ln=4,r=1,p=1$AAAA$" + "A" * 43,
        "$scrypt$ln=30,r=8,p=1$AAAA$" + "A" * 43,
        "$scrypt$ln=4,r=1,p=1$AAAA$AAAA",
        "x" + HASHES["dba"],
    ],
    ids=["empty", "no members", "another function", "too dear", "too short", "something before it"],
)
def test_hashes_that_are_none_or_cost_too_much_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_phc(text)


def problem_with(tokens: Tokens, token: str) -> str:
    """What is wrong with a token."""
    with pytest.raises(Problem) as caught:
        tokens.user(token)
    return caught.value.name


def test_a_token_names_its_user_until_it_expires() -> None:
    tokens = Tokens(KEY, HASHES, 60)
    assert tokens.user(tokens.issue("dba")) == "dba"
    assert problem_with(tokens, tokens.issue("dba", now=1)) == "token-expired"


def test_a_token_that_was_checked_before_expires_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, now = Tokens(KEY, HASHES, 60), time.time()
    token = tokens.issue("dba", now)
    checks = mock.Mock(wraps=jwt.decode)
    monkeypatch.setattr(jwt, "decode", checks)
    assert [tokens.user(token), tokens.user(token), checks.call_count] == ["dba", "dba", 1]
    monkeypatch.setattr("time.time", lambda: now + 60)
    monkeypatch.setattr(jwt, "decode", mock.Mock(side_effect=jwt.ExpiredSignatureError))  # its own clock is not ours to move
    assert problem_with(tokens, token) == "token-expired"


def test_tokens_that_were_checked_before_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oracle_assembler.tokens._CHECKED_MOST", 3)
    tokens = Tokens(KEY, HASHES, 60)
    assert {tokens.user(tokens.issue("dba")) for _number in range(10)} == {"dba"}
    assert len(tokens._checked) <= 3


def test_a_changed_password_a_removed_user_and_another_key_end_a_token() -> None:
    token = Tokens(KEY, HASHES, 60).issue("dba")
    for tokens in (Tokens(KEY, {"dba": "other"}, 60), Tokens(KEY, {}, 60), Tokens(secrets.token_bytes(32), HASHES, 60)):
        assert problem_with(tokens, token) == "token-invalid"


def test_a_token_without_a_signature_or_with_claims_missing_is_invalid() -> None:
    tokens = Tokens(KEY, HASHES, 60)
    claims = jwt.decode(tokens.issue("dba"), options={"verify_signature": False})
    assert problem_with(tokens, jwt.encode(claims, None, "none")) == "token-invalid"
    for name in ("sub", "exp", "fpr"):
        assert (
            problem_with(tokens, jwt.encode({key: value for key, value in claims.items() if key != name}, KEY, "HS256")) == "token-invalid"
        )


class Clock:
    """Time that moves when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_failures_beyond_the_free_ones_double_the_wait_up_to_a_limit_and_a_success_forgets_them() -> None:
    clock = Clock()
    attempts, who, waits = Attempts(clock), ("dba", "peer"), []
    for _attempt in range(FREE - 1):
        attempts.failed(who)
        attempts.check(who)
    for _attempt in range(12):
        attempts.failed(who)
        with pytest.raises(Problem) as caught:
            attempts.check(who)
        waits.append(caught.value.retry_after)
        attempts.check(("dba", "another peer"))
        clock.now += WAIT_MAX
        attempts.check(who)
    assert waits[:4] == [1, 2, 4, 8] and waits[-1] == WAIT_MAX
    attempts.succeeded(who)
    attempts.failed(who)
    attempts.check(who)


def test_the_table_of_failures_is_bounded() -> None:
    attempts = Attempts()
    for number in range(TABLE_MAX + 100):
        attempts.failed((str(number), "peer"))
    assert len(attempts._table) == TABLE_MAX


def test_checks_take_turns_and_too_many_waiting_are_sent_away() -> None:
    async def work() -> tuple[int, int]:
        attempts, most, now, refused = Attempts(), 0, 0, 0

        async def one() -> None:
            nonlocal most, now, refused
            try:
                async with attempts.turn():
                    now += 1
                    most = max(most, now)
                    await asyncio.sleep(0)
                    now -= 1
            except Problem as problem:
                assert problem.name == "busy"
                refused += 1

        await asyncio.gather(*(one() for _number in range(WAITING_MAX + 8)))
        return most, refused

    assert asyncio.run(work()) == (1, 8)
