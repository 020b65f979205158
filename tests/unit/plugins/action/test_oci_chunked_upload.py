# Copyright (c) 2026, the bigfile.oci founders
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows a run. That the module runs as without it is for tests/integration/test_progress.py, with a real Ansible."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible.utils.display import Display

from ansible_collections.bigfile.oci.plugins.action import oci_chunked_upload as action
from ansible_collections.bigfile.oci.plugins.action.oci_chunked_upload import END, LOOK, Follower, say
from ansible_collections.bigfile.oci.plugins.module_utils import _watch
from ansible_collections.bigfile.oci.plugins.module_utils._progress import Record

ID = "0123456789abcdef" * 2
RECORD = Record("sending", "exp.dmp", "/u01/exp.dmp", "https://h", 1000, 4, 1, 0, 1000, 0, None, None, 1, 0.0)


class Target:
    """Answers with how far it is; ``commands`` is what it was asked."""

    def __init__(self) -> None:
        self.answer = RECORD.json()
        self.commands: list[str] = []
        self.asked = threading.Semaphore(0)

    def __call__(self, command: str) -> str:
        self.commands.append(command)
        self.asked.release()
        return self.answer


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action, "FIRST", 0.01)
    monkeypatch.setattr(action, "LONGEST", 0.01)


def test_the_first_look_comes_soon_and_the_later_ones_more_and_more_seldom() -> None:
    clock = Clock()
    follower = Follower(Target(), ID, None, clock=clock)
    pauses = []
    for clock.now in (0, 10, 20, 100, 299, 301, 100_000):
        pauses.append(follower.pause())
    assert pauses == [2, 2, 2, 10, 29.9, 30, 30]


def heard(terminal: bool, *moments: tuple[float, int]) -> list[int]:
    """Which percents are said, of those that are heard at these times."""
    said: list[Record] = []
    clock = Clock()
    follower = Follower(Target(), ID, said.append, terminal=terminal, clock=clock)
    for clock.now, percent in moments:
        follower._hear(RECORD._replace(done=percent * 10))
    return [record.percent for record in said]


def test_a_terminal_gets_each_look() -> None:
    assert heard(True, (2, 1), (4, 2), (6, 2)) == [1, 2, 2]


def test_without_a_terminal_there_is_a_line_for_ten_percent_or_a_minute() -> None:
    assert heard(False, (2, 3), (4, 9), (6, 10), (8, 19), (10, 20), (12, 55), (14, 59)) == [3, 10, 20, 55]
    assert heard(False, (2, 3), (61, 3), (62, 3), (121, 3), (122, 4)) == [3, 3, 4]


@pytest.mark.usefixtures("quick")
def test_it_says_what_it_hears_until_it_is_stopped() -> None:
    said: list[Record] = []
    target = Target()
    follower = Follower(target, ID, said.append, terminal=True)
    follower.start()
    for _number in range(3):
        assert target.asked.acquire(timeout=20)
    follower.stop()
    assert not follower.is_alive()
    assert said and set(said) == {RECORD}
    assert set(target.commands) == {LOOK % ID}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("answer", ["", "no JSON", "{}", "\x1b[2J"])
def test_an_answer_that_is_none_is_passed_over(answer: str) -> None:
    said: list[Record] = []
    target = Target()
    target.answer = answer
    follower = Follower(target, ID, said.append, terminal=True)
    follower.start()
    for _number in range(3):
        assert target.asked.acquire(timeout=20)
    follower.stop()
    assert said == []


@pytest.mark.usefixtures("quick")
def test_a_look_that_hangs_says_nothing_after_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action, "PARTING", 0.1)
    said: list[Record] = []
    asked, answered = threading.Event(), threading.Event()

    def ask(command: str) -> str:
        asked.set()
        answered.wait(20)
        return RECORD.json()

    follower = Follower(ask, ID, said.append, terminal=True)
    follower.start()
    assert asked.wait(20)
    begun = time.monotonic()
    follower.stop()
    assert time.monotonic() - begun < 10
    answered.set()
    follower.join(20)
    assert not follower.is_alive()
    assert said == []


@pytest.mark.usefixtures("quick")
def test_it_ends_the_run_when_the_main_process_is_gone() -> None:
    target = Target()
    parents = iter([100, 100])
    follower = Follower(target, ID, None, parent=lambda: next(parents, 1))
    follower.start()
    follower.join(20)
    assert not follower.is_alive()
    assert target.commands == [LOOK % ID, END % ID]


@pytest.mark.parametrize(
    ("host", "named", "line"),
    [
        ("db1", True, "sending: [db1] => exp.dmp: 50 %, 500 B of 1000 B, 1 of 4 parts"),
        ("db1 -> localhost", False, "sending: [db1 -> localhost] => 50 %, 500 B of 1000 B, 1 of 4 parts"),
    ],
)
def test_a_line_goes_to_standard_error(monkeypatch: pytest.MonkeyPatch, host: str, named: bool, line: str) -> None:
    said: list[tuple[str, dict[str, t.Any]]] = []
    monkeypatch.setattr(Display, "display", lambda self, text, **how: said.append((text, how)))
    say(RECORD._replace(done=500), host, named=named)
    ((text, how),) = said
    assert text == line
    assert how["stderr"] is True


# The commands, run by a real shell


def shell(command: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", command], env={**os.environ, "HOME": str(home)}, capture_output=True, text=True, check=False)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return Path(_watch.watch_file(ID))


def test_to_look_prints_the_record_and_touches_the_watch_file(tmp_path: Path, file: Path) -> None:
    file.parent.mkdir(parents=True)
    (tmp_path / "a record").write_text("it")
    file.write_text(str(tmp_path / "a record"))
    os.utime(file, (0, 0))
    assert shell(LOOK % ID, tmp_path).stdout == "it"
    assert file.stat().st_mtime > 0


def test_to_look_at_nothing_makes_nothing(tmp_path: Path, file: Path) -> None:
    done = shell(LOOK % ID, tmp_path)
    assert done.returncode != 0 and done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_to_end_removes_the_watch_file_or_leaves_one_for_a_run_that_did_not_make_it_yet(tmp_path: Path, file: Path) -> None:
    assert shell(END % ID, tmp_path).returncode == 0
    assert file.exists()
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert shell(END % ID, tmp_path).returncode == 0
    assert not file.exists()
