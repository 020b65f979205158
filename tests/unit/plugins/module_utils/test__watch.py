# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils import _watch
from ansible_collections.bigfile.oci.plugins.module_utils._errors import Interrupted, UploadError
from ansible_collections.bigfile.oci.plugins.module_utils._plan import Plan
from ansible_collections.bigfile.oci.plugins.module_utils._progress import Progress, read
from ansible_collections.bigfile.oci.plugins.module_utils._watch import Watch, look, watch_file

MiB = 1 << 20
ID = "0123456789abcdef" * 2


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


class Life:
    """A watch and what came of it."""

    def __init__(self, folder: Path) -> None:
        self.record = folder / "journal.db.key.progress"
        self.ended = threading.Event()
        self.now = 0.0
        self.progress = Progress()
        self.progress.about("a.dmp", "/u01/a.dmp", "https://h", 17 * MiB)

    def watch(self, watch_id: str | None = ID) -> Watch:
        return Watch(
            self.progress, str(self.record), watch_id=watch_id, hang_up=self.ended.set, every=0.01, silence_most=300, clock=lambda: self.now
        )

    def begin_parts(self) -> None:
        self.progress.sending(Plan(17 * MiB, 5 * MiB, True), [])


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path)


def touch(path: str) -> None:
    os.utime(path)


def test_the_record_is_there_from_the_beginning_is_written_anew_and_goes_with_the_run(life: Life) -> None:
    with life.watch():
        first = read(life.record.read_text())
        assert first is not None and first.state == "asking" and first.pid == os.getpid()
        assert life.record.stat().st_mode & 0o777 == 0o600
        life.begin_parts()
        deadline = time.monotonic() + 20
        while '"sending"' not in life.record.read_text():
            assert time.monotonic() < deadline
    assert list(life.record.parent.glob("journal*")) == []


def test_what_an_upload_in_parts_had_done_when_it_failed_is_kept(life: Life) -> None:
    life.begin_parts()
    with pytest.raises(UploadError), life.watch():
        raise UploadError("no room")
    found = read(life.record.read_text())
    assert found is not None and (found.state, found.reason) == ("ended", "no room")


def test_nothing_is_kept_of_a_run_that_failed_before_it_sent_parts(life: Life) -> None:
    with pytest.raises(UploadError), life.watch():
        raise UploadError("no such file")
    assert not life.record.exists()


def test_a_record_that_cannot_be_written_stops_nothing(life: Life, tmp_path: Path) -> None:
    life.record = tmp_path / "nowhere" / "record"
    with life.watch():
        time.sleep(0.05)
    assert not life.ended.is_set()


def test_the_watch_file_names_the_record_for_its_owner_alone_and_goes_with_the_run(life: Life) -> None:
    with life.watch():
        path = Path(watch_file(ID))
        assert path.read_text() == str(life.record)
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not path.exists()


@pytest.mark.parametrize("watch_id", [None, "", "../../etc/passwd", "0" * 31, "g" * 32, "0" * 32 + "\n"])
def test_only_an_id_makes_a_watch_file(life: Life, home: Path, watch_id: str | None) -> None:
    with life.watch(watch_id):
        assert not home.exists()


def test_a_home_that_cannot_be_written_stops_nothing(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/proc/nowhere")
    with life.watch():
        time.sleep(0.05)
    assert not life.ended.is_set()


def test_a_run_whose_watch_file_is_removed_is_ended(life: Life) -> None:
    with life.watch():
        os.unlink(watch_file(ID))
        assert life.ended.wait(20)


def test_a_run_that_was_told_to_end_before_it_began_does_not_begin(life: Life) -> None:
    path = Path(watch_file(ID))
    path.parent.mkdir(parents=True)
    path.write_text("")
    with pytest.raises(Interrupted, match="before it began; run the task again"), life.watch():
        pytest.fail("it began")


def test_a_run_that_nobody_ever_looked_at_goes_on(life: Life) -> None:
    with life.watch():
        life.now = 1e9
        assert not life.ended.wait(0.2)


def test_a_run_that_nobody_looks_at_any_more_is_ended_and_not_before(life: Life) -> None:
    with life.watch():
        touch(watch_file(ID))
        assert not life.ended.wait(0.2)
        life.now += 200
        touch(watch_file(ID))
        assert not life.ended.wait(0.2)
        life.now += 200
        assert not life.ended.wait(0.2)
        life.now += 101
        assert life.ended.wait(20)


def test_what_killed_runs_left_is_swept_after_a_day(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(watch_file(ID)).parent
    folder.mkdir(parents=True)
    for name in ("watch-old", "journal.db"):
        (folder / name).write_text("")
    monkeypatch.setattr(_watch, "LITTER", -1.0)
    with life.watch():
        assert sorted(path.name for path in folder.iterdir()) == ["journal.db", f"watch-{ID}"]


@pytest.mark.parametrize("how", ["pipe", "terminal"])
def test_an_output_whose_other_end_is_closed_ends_the_run(life: Life, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    reader, writer = os.pipe() if how == "pipe" else os.openpty()
    monkeypatch.setattr(_watch, "OUTPUT", writer)
    with life.watch():
        assert not life.ended.wait(0.2)
        os.close(reader)
        assert life.ended.wait(20)
    os.close(writer)


@pytest.mark.parametrize("path", ["/dev/null", __file__])
def test_an_output_that_is_a_file_ends_nothing(life: Life, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    with open(path, "rb") as file:
        monkeypatch.setattr(_watch, "OUTPUT", file.fileno())
        with life.watch():
            assert not life.ended.wait(0.2)


# Looking from outside


@pytest.fixture
def process() -> t.Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as begun:
        yield begun


def left(life: Life, process: subprocess.Popen[bytes]) -> None:
    life.begin_parts()
    life.record.write_text(life.progress.record(pid=process.pid, now=time.time()).json())


def seen(life: Life) -> _watch.Seen:
    found = look(f"{life.record.parent}/journal.db.*.progress")
    assert list(found) == ["key"]
    return found["key"]


def test_a_run_under_way_is_seen_and_one_that_was_killed_too(life: Life, process: subprocess.Popen[bytes]) -> None:
    left(life, process)
    assert seen(life).running is True
    process.kill()
    process.wait()
    assert seen(life).running is False
    assert seen(life).record.state == "sending"


def test_an_old_record_is_of_no_run_under_way_whoever_has_its_number(life: Life, process: subprocess.Popen[bytes]) -> None:
    left(life, process)
    os.utime(life.record, (time.time() - 3600, time.time() - 3600))
    assert seen(life).running is False


def test_what_is_no_record_is_passed_over(life: Life) -> None:
    life.record.write_bytes(b"\xff\xfe nonsense")
    assert look(f"{life.record.parent}/journal.db.*.progress") == {}
