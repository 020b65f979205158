# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import base64
import os
import signal
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils import _options
from ansible_collections.bigfile.oci.plugins.module_utils._errors import DeadlineReached, Interrupted, OptionError, Unreachable
from ansible_collections.bigfile.oci.tests.unit.plugins.module_utils.tiny_service import Reply, TinyService, closed_port

KEY = base64.b64encode(bytes(range(32))).decode()
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Module:
    """What the options ask of an AnsibleModule."""

    def __init__(self, *, check_mode: bool = False, **params: t.Any) -> None:
        names = [*_options.connection_spec(), *_options.journal_spec()]
        self.params = {**dict.fromkeys(names), "validate_certs": True, "timeout": 5.0, "retries": 10, **params}
        self.check_mode = check_mode
        self.said: list[str] = []
        self.warnings: list[str] = []

    def debug(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def service(**params: t.Any) -> tuple[_options.Service, Module]:
    module = Module(**{"endpoint": "http://127.0.0.1:9", "token": "token", **params})
    return _options.service(module), module  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def quick_and_orderly(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[None]:
    """No jitter, and the signals as they were."""
    monkeypatch.setattr(_options.random, "random", lambda: 0.0)
    handlers = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGALRM)}
    timer = signal.getitimer(signal.ITIMER_REAL)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.setitimer(signal.ITIMER_REAL, *timer)


# Keys and sizes


def test_a_key_is_32_bytes_in_base64() -> None:
    assert _options.key_bytes("encryption_key", KEY) == bytes(range(32))


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64])
def test_a_key_of_another_length_is_told_by_its_length(size: int) -> None:
    text = base64.b64encode(bytes(range(size))).decode()
    with pytest.raises(OptionError, match=rf"^encryption_key is base64 of {size} bytes; it takes 32$"):
        _options.key_bytes("encryption_key", text)


@pytest.mark.parametrize("text", [KEY[:-1], KEY + "\n", "-" * 44, "ü" * 44, f" {KEY}", bytes(32).hex()[:-1]])
def test_what_is_no_base64_is_told_without_showing_it(text: str) -> None:
    with pytest.raises(OptionError, match=r"^encryption_key is not base64; it takes 32 bytes"):
        _options.key_bytes("encryption_key", text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("5242880", 5 << 20), ("16M", 16 << 20), ("16MB", 16 << 20), ("1.5K", 1536), ("1G", 1 << 30), ("2T", 2 << 40), (None, None)],
)
def test_a_size_has_units_of_1024(text: str | None, size: int | None) -> None:
    assert _options.size_in_bytes("part_size", text) == size


@pytest.mark.parametrize("text", ["", "M", "many", "16 parts", "1e9", "0x10", "-1", "-16M", "16Mb", "nan", "inf", "1,5M", "١M"])
def test_what_is_no_size_is_told(text: str) -> None:
    with pytest.raises(OptionError, match=r"^part_size"):
        _options.size_in_bytes("part_size", text)


@pytest.mark.parametrize("text", ["0", "0M", "0.4"])
def test_a_size_is_above_zero(text: str) -> None:
    with pytest.raises(OptionError, match=rf"^part_size is a size above 0, not {text}$"):
        _options.size_in_bytes("part_size", text)


# The service


@pytest.mark.parametrize("name", ["timeout", "deadline"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_is_above_zero(name: str, value: float) -> None:
    with pytest.raises(OptionError, match=rf"^{name} is a number of seconds above 0"):
        service(**{name: value})


@pytest.mark.parametrize("name", ["ca_path", "client_cert", "client_key"])
def test_a_file_that_is_not_there_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match=rf"^{name}: .* does not exist on this host or cannot be read; give a file that this user can read$"
    ):
        service(**{name: str(tmp_path / "none.pem")})


def test_a_pinned_key_is_32_bytes() -> None:
    with pytest.raises(OptionError, match=r"^assembler_public_key is not base64; it takes 32 bytes"):
        service(assembler_public_key="?")


@pytest.mark.parametrize(("retries", "tries"), [(10, 3), (2, 3), (1, 2), (0, 1), (-5, 1)])
def test_a_service_that_never_answered_is_tried_a_few_times_only(retries: int, tries: int) -> None:
    made, module = service(endpoint=f"http://127.0.0.1:{closed_port()}", retries=retries)
    with pytest.raises(Unreachable):
        made.client.uploads()
    assert len(module.said) == tries - 1


def test_a_service_that_answered_once_is_tried_as_often_as_the_user_wants(serve: t.Callable[..., TinyService]) -> None:
    replies = iter([Reply(200, {"uploads": []}), *[Reply(503)] * 10, Reply(200, {"uploads": []})])
    made, module = service(endpoint=serve(lambda _: next(replies)).endpoint)
    assert made.client.uploads() == made.client.uploads() == []
    assert len(module.said) == 10


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_run_in_an_orderly_way(number: signal.Signals) -> None:
    service()
    with pytest.raises(Interrupted, match=f"ended by {number.name}"):
        signal.raise_signal(number)


def test_a_deadline_ends_a_run_that_looks_at_no_clock() -> None:
    service(deadline=0.2)
    with pytest.raises(DeadlineReached, match=r"^the deadline of 0.2 seconds is reached$"):
        threading.Event().wait(60)


# The journal


def test_the_journal_is_kept_with_the_state_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    opened = _options.journal(Module())  # type: ignore[arg-type]
    opened.close()
    assert opened.path == str(tmp_path / "bigfile.oci" / "journal.db")


@pytest.mark.parametrize("state", [None, ""])
def test_without_a_state_folder_it_is_below_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str | None) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    if state is not None:
        monkeypatch.setenv("XDG_STATE_HOME", state)
    opened = _options.journal(Module())  # type: ignore[arg-type]
    opened.close()
    assert opened.path == str(tmp_path / ".local" / "state" / "bigfile.oci" / "journal.db")


@pytest.mark.parametrize(("check_mode", "read_only"), [(True, False), (False, True), (True, True)])
def test_check_mode_and_questions_make_no_journal(tmp_path: Path, check_mode: bool, read_only: bool) -> None:
    module = Module(check_mode=check_mode, journal=str(tmp_path / "journal.db"))
    _options.journal(module, read_only=read_only).close()  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == []


def test_a_damaged_journal_is_a_warning_of_the_module(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"garbage" * 1000)
    module = Module(journal=str(tmp_path / "journal.db"))
    _options.journal(module).close()  # type: ignore[arg-type]
    assert len(module.warnings) == 1


# The options


def test_every_secret_is_masked() -> None:
    spec = _options.connection_spec()
    assert {name for name, option in spec.items() if option.get("no_log")} == {"password", "token"}


def test_every_option_has_its_variable() -> None:
    spec = {**_options.connection_spec(), **_options.journal_spec()}
    assert {name: option["fallback"][1] for name, option in spec.items()} == {name: [f"BIGFILE_{name.upper()}"] for name in spec}
