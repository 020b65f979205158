# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import itertools
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils import _journal
from ansible_collections.bigfile.oci.plugins.module_utils._errors import Busy, JournalError
from ansible_collections.bigfile.oci.plugins.module_utils._journal import Entry, Journal

TREE = Path(_journal.__file__).parents[5]
"""What holds ``ansible_collections``."""

KEY = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I="
ENTRY: Entry = {"id": "1" * 32, "path": "dumps/exp.dmp", "identity": [1, 2, 3, 4, 5], "key": SECRET}
IDENTITY = (1, 2, 3, 4, 5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def journals(path: Path) -> t.Iterator[t.Callable[..., Journal]]:
    """Opens journals at ``path``; closes them after the test."""
    opened: list[Journal] = []

    def open_one(**options: t.Any) -> Journal:
        opened.append(Journal(str(path), **options))
        return opened[-1]

    yield open_one
    for journal in opened:
        journal.close()


Journals = t.Callable[..., Journal]


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns) for path in folder.rglob("*")
    }


def bytes_below(folder: Path) -> bytes:
    """What a thief of the folder would read, rollback journals and all."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


# Uploads


def test_what_was_begun_is_there_in_the_next_run(journals: Journals) -> None:
    first = journals()
    first.begin(KEY, ENTRY)
    first.close()
    assert journals().entry(KEY) == ENTRY


def test_an_upload_that_never_began_is_not_there(journals: Journals) -> None:
    journal = journals()
    journal.begin(KEY, ENTRY)
    assert (journal.entry(OTHER), journal.parts(OTHER)) == (None, [])


def test_all_pending_uploads_are_told(journals: Journals) -> None:
    journal = journals()
    assert journal.entries() == {}
    journal.begin(KEY, ENTRY)
    journal.begin(OTHER, {**ENTRY, "id": "2" * 32})
    journal.note(KEY, 1)
    journal.remember("/dump", IDENTITY, "a" * 64)
    assert journal.entries() == {KEY: ENTRY, OTHER: {**ENTRY, "id": "2" * 32}}


def test_an_upload_begun_anew_replaces_the_old_one(journals: Journals, path: Path) -> None:
    journal = journals()
    journal.begin(KEY, ENTRY)
    journal.begin(KEY, {**ENTRY, "key": "another"})
    assert journal.entry(KEY) == {**ENTRY, "key": "another"}
    assert SECRET.encode() not in bytes_below(path.parent)


@pytest.mark.parametrize(
    "numbers",
    [[], [1], [1023, 1024, 1025], [3, 1, 2], [1, 1], list(range(1, 42)), [10_000]],
    ids=["none", "one", "edge", "any order", "twice", "many", "last"],
)
def test_every_part_that_was_noted_is_there_in_the_next_run(journals: Journals, numbers: list[int]) -> None:
    first = journals()
    for number in numbers:
        first.note(KEY, number)
    first.close()
    assert journals().parts(KEY) == sorted(set(numbers))


def test_parts_are_kept_in_blocks(journals: Journals, path: Path) -> None:
    """So that forgetting ten thousand of them is ten commits."""
    journal = journals()
    for number in (1, 2, 3, 1022, 1023, 1024, 1025, 2047, 2048):
        journal.note(KEY, number)
    assert len(journal.parts(KEY)) == 9
    with sqlite3.connect(path) as store:
        (keys,) = store.execute("SELECT count(*) FROM kv").fetchone()
    store.close()
    assert keys == 3


def test_the_first_notes_are_written_soon_on_a_slow_disk_too(journals: Journals, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(_journal.time, "monotonic", lambda: now)
    journal = journals()
    commits = []

    def slow_set(unused_key: str, value: list[int]) -> None:
        nonlocal now
        now += 0.1
        commits.append(len(value))

    monkeypatch.setattr(journal, "_set", slow_set)
    monkeypatch.setattr(journal, "_get", lambda unused_key: None)
    for number in range(1, 11):
        journal.note(KEY, number)
        now += 0.3
    assert commits == [1] * 10


@pytest.mark.parametrize(("commit", "pause"), [(0.0, 0.25), (0.0005, 0.25), (0.02, 6.0), (0.5, 30.0)])
def test_the_slower_the_disk_the_rarer_are_notes(journals: Journals, monkeypatch: pytest.MonkeyPatch, commit: float, pause: float) -> None:
    now = 1000.0
    monkeypatch.setattr(_journal.time, "monotonic", lambda: now)
    journal = journals()
    journal._spent = _journal.NOTES_FREE
    kept: dict[str, list[int]] = {}
    commits = []

    def slow_set(key: str, value: list[int]) -> None:
        nonlocal now
        now += commit
        kept[key] = value
        commits.append(now)

    monkeypatch.setattr(journal, "_set", slow_set)
    monkeypatch.setattr(journal, "_get", kept.get)
    journal.note(KEY, 1)
    for number in range(2, 1000):
        now += 0.1
        journal.note(KEY, number)
    gaps = [later - earlier - commit for earlier, later in itertools.pairwise(commits)]
    assert gaps and all(pause <= gap + 1e-6 < pause + 0.2 for gap in gaps)
    journal._write_notes()
    assert list(kept.values()) == [list(range(1, 1000))], "none is lost"


def test_parts_of_one_upload_are_none_of_another(journals: Journals) -> None:
    journal = journals()
    journal.note(KEY, 1)
    journal.note(OTHER, 2)
    journal.forget(OTHER)
    assert journal.parts(KEY) == [1]


def test_a_forgotten_upload_is_gone_with_its_parts(journals: Journals) -> None:
    journal = journals()
    journal.begin(KEY, ENTRY)
    for number in (1, 1023, 1024, 10_000):
        journal.note(KEY, number)
    journal.forget(KEY)
    assert (journal.entry(KEY), journal.parts(KEY), journal.entries()) == (None, [], {})


def test_what_is_not_there_can_be_forgotten(journals: Journals) -> None:
    journals().forget(KEY)


def test_a_forgotten_key_is_in_no_byte_of_the_folder(journals: Journals, path: Path) -> None:
    journal = journals()
    journal.begin(KEY, ENTRY)
    journal.note(KEY, 1)
    assert SECRET.encode() in bytes_below(path.parent)
    journal.forget(KEY)
    assert SECRET.encode() not in bytes_below(path.parent)
    journal.close()
    assert SECRET.encode() not in bytes_below(path.parent)


def test_a_forgotten_key_among_others_is_in_no_byte_of_the_folder(journals: Journals, path: Path) -> None:
    """Pages are full, split and merged."""
    journal = journals()
    for number in range(40):
        journal.begin(f"{number:032x}", {**ENTRY, "key": f"secret-{number:04}-{SECRET}", "path": "x" * 500})
    for number in range(1, 40, 2):
        journal.forget(f"{number:032x}")
    kept = bytes_below(path.parent)
    assert [number for number in range(40) if f"secret-{number:04}".encode() in kept] == list(range(0, 40, 2))


def test_the_source_of_an_upload_may_have_a_name_that_is_not_utf_8(journals: Journals) -> None:
    journal = journals()
    journal.begin(KEY, {**ENTRY, "source": NAME_OF_BYTES})
    assert journal.entries()[KEY]["source"] == "/dumps/gr\\udcfc\\udcdfe.dmp"


# Digests


def test_a_digest_is_remembered_across_runs(journals: Journals) -> None:
    first = journals()
    first.remember("/dump", IDENTITY, "a" * 64)
    first.close()
    assert journals().digest("/dump", IDENTITY) == "a" * 64


@pytest.mark.parametrize("member", range(5))
def test_a_digest_is_not_that_of_a_file_with_another_identity(journals: Journals, member: int) -> None:
    journal = journals()
    journal.remember("/dump", IDENTITY, "a" * 64)
    changed = [value + (index == member) for index, value in enumerate(IDENTITY)]
    assert journal.digest("/dump", changed) is None


def test_a_digest_is_not_that_of_another_path(journals: Journals) -> None:
    journal = journals()
    journal.remember("/dump", IDENTITY, "a" * 64)
    assert journal.digest("/other", IDENTITY) is None


def test_the_digest_of_a_changed_file_replaces_the_old_one(journals: Journals) -> None:
    journal = journals()
    journal.remember("/dump", IDENTITY, "a" * 64)
    journal.remember("/dump", (1, 2, 3, 4, 6), "b" * 64)
    assert journal.digest("/dump", IDENTITY) is None
    assert journal.digest("/dump", (1, 2, 3, 4, 6)) == "b" * 64


def test_remembering_the_same_again_writes_nothing(journals: Journals, path: Path) -> None:
    journal = journals()
    journal.remember("/dump", IDENTITY, "a" * 64)
    before = snapshot(path.parent)
    journal.remember("/dump", IDENTITY, "a" * 64)
    assert snapshot(path.parent) == before


def test_digests_of_files_that_are_gone_are_dropped_when_there_are_too_many(
    journals: Journals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_journal, "DIGESTS_MAX", 3)
    there = [tmp_path / "first", tmp_path / "second"]
    for file in there:
        file.touch()
    gone = [tmp_path / "gone", tmp_path / "also gone"]
    journal = journals()
    for file in gone + there:
        journal.remember(str(file), IDENTITY, "a" * 64)
    journal.close()
    journal = journals()
    assert [journal.digest(str(file), IDENTITY) for file in gone + there] == [None, None, "a" * 64, "a" * 64]


def test_three_digests_are_not_too_many_for_three(journals: Journals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_journal, "DIGESTS_MAX", 3)
    journal = journals()
    for name in "abc":
        journal.remember(str(tmp_path / name), IDENTITY, name * 64)
    journal.close()
    journal = journals()
    assert [journal.digest(str(tmp_path / name), IDENTITY) for name in "abc"] == ["a" * 64, "b" * 64, "c" * 64]


NAME_OF_BYTES = "/dumps/" + os.fsdecode(b"gr\xfc\xdfe.dmp")
"""A file whose name is not UTF-8, as the system hands it to Python."""


def test_a_file_whose_name_is_not_utf_8_has_a_digest_too(journals: Journals) -> None:
    journal = journals()
    journal.remember(NAME_OF_BYTES, IDENTITY, "a" * 64)
    assert journal.digest(NAME_OF_BYTES, IDENTITY) == "a" * 64


# The file


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_may_read_it(journals: Journals, path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        journal = journals()
        journal.begin(KEY, ENTRY)
        with journal.claim(KEY):
            locks = [mode(lock) for lock in path.parent.glob("*.lock")]
    finally:
        os.umask(before)
    assert (mode(path), mode(path.parent), locks) == (0o600, 0o700, [0o600])


def test_a_journal_that_others_could_read_is_closed_to_them(journals: Journals, path: Path) -> None:
    journals().close()
    path.chmod(0o644)
    journals()
    assert mode(path) == 0o600


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o755)
    Journal(str(folder / "journal.db")).close()
    assert mode(folder) == 0o755


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Journal("~/journal.db").close()
    assert (tmp_path / "journal.db").exists()


# Damage


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database, whatever its name says\n" * 100)


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def truncated_oddly(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1000)


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(range(256)) * 16)


def planted(path: Path, value: bytes, key: str = f"upload:{KEY}") -> None:
    store = sqlite3.connect(path)
    store.execute("UPDATE kv SET value = ? WHERE key = ?", (value, key))
    store.commit()
    store.close()


def nonsense(path: Path) -> None:
    planted(path, b"{]")


def not_utf_8(path: Path) -> None:
    planted(path, b'"\xff"')


DAMAGES = [garbage, truncated, truncated_oddly, overwritten, nonsense, not_utf_8]


def filled(journals: Journals) -> None:
    journal = journals()
    journal.begin(KEY, ENTRY)
    journal.note(KEY, 1)
    journal.remember("/dump", IDENTITY, "a" * 64)
    journal.close()
    store = sqlite3.connect(journal.path)
    row = store.execute("SELECT value FROM kv WHERE key = ?", (f"upload:{KEY}",)).fetchone()
    store.executemany("INSERT INTO kv VALUES (?, ?)", [(f"upload:{number:032x}", *row) for number in range(100)])
    store.commit()
    store.close()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_journal_is_set_aside_and_told_of(journals: Journals, path: Path, damage: t.Callable[[Path], None]) -> None:
    filled(journals)
    damage(path)
    damaged = path.read_bytes()
    journal = journals()
    (warning,) = journal.warnings
    (aside,) = path.parent.glob("journal.db.damaged-*")
    assert f"the journal {path} was damaged" in warning
    assert str(aside) in warning
    assert aside.read_bytes() == damaged
    assert mode(aside) == 0o600


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_new_journal_takes_the_place_of_a_damaged_one(journals: Journals, path: Path, damage: t.Callable[[Path], None]) -> None:
    filled(journals)
    damage(path)
    journal = journals()
    assert (journal.entries(), journal.digest("/dump", IDENTITY)) == ({}, None)
    journal.begin(KEY, ENTRY)
    journal.note(KEY, 7)
    journal.close()
    again = journals()
    assert (again.warnings, again.entry(KEY), again.parts(KEY)) == ([], ENTRY, [7])


@pytest.mark.parametrize(
    ("key", "value"),
    [(f"upload:{KEY}", b"[1, 2]"), (f"upload:{KEY}", b'"text"'), (f"parts:{KEY}:0", b"7"), ("digest:/dump", b'"a"')],
)
def test_what_is_no_entry_is_damage_too(journals: Journals, path: Path, key: str, value: bytes) -> None:
    filled(journals)
    planted(path, value, key)
    journal = journals()
    assert len(journal.warnings) == 1
    assert (journal.entries(), journal.parts(KEY), journal.digest("/dump", IDENTITY)) == ({}, [], None)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 99, 100, 512, 1024, 4095, 4096, 4097, 8191, 8192])
def test_a_journal_cut_anywhere_never_stops_an_upload(journals: Journals, path: Path, length: int) -> None:
    filled(journals)
    os.truncate(path, length)
    journal = journals()
    assert journal.entry(KEY) in (None, ENTRY)
    journal.begin(KEY, ENTRY)
    assert journal.entry(KEY) == ENTRY


def test_the_rollback_journal_of_a_damaged_store_does_not_spoil_the_new_one(journals: Journals, path: Path) -> None:
    filled(journals)
    garbage(path)
    path.with_name("journal.db-journal").write_bytes(b"pages of the old one")
    journal = journals()
    journal.begin(KEY, ENTRY)
    assert journal.entry(KEY) == ENTRY
    assert b"pages of the old one" not in path.read_bytes()


# Nowhere to write


def folder_in_the_way(path: Path) -> None:
    path.mkdir(parents=True)


def file_in_the_way(path: Path) -> None:
    path.parent.write_bytes(b"")


@pytest.mark.parametrize("obstacle", [folder_in_the_way, file_in_the_way])
def test_a_journal_that_cannot_be_made_names_its_option(journals: Journals, path: Path, obstacle: t.Callable[[Path], None]) -> None:
    obstacle(path)
    with pytest.raises(JournalError, match=r"the journal .*journal\.db cannot be used: .*the option journal"):
        journals()


def test_a_journal_on_a_place_for_no_files_names_its_option() -> None:
    with pytest.raises(JournalError, match=r"the option journal"):
        Journal("/proc/bigfile/journal.db")


def test_a_full_disk_names_the_option(journals: Journals) -> None:
    journal = journals()
    journal.begin(KEY, ENTRY)
    t.cast("t.Any", journal)._store._conn.execute("PRAGMA max_page_count = 1")
    with pytest.raises(JournalError, match=r"full; give a writable place with the option journal"):
        journal.begin(OTHER, {**ENTRY, "path": "x" * 100_000})


# Read only


def test_reading_makes_nothing(journals: Journals, tmp_path: Path) -> None:
    journal = journals(read_only=True)
    assert (journal.entries(), journal.entry(KEY), journal.parts(KEY)) == ({}, None, [])
    assert list(tmp_path.iterdir()) == []


def test_reading_changes_no_byte_whatever_is_asked(journals: Journals, path: Path) -> None:
    filled(journals)
    before = snapshot(path.parent)
    journal = journals(read_only=True)
    assert journal.entry(KEY) == ENTRY
    with journal.claim(KEY):
        journal.begin(OTHER, ENTRY)
        journal.note(KEY, 2)
        journal.remember("/other", IDENTITY, "b" * 64)
        journal.forget(KEY)
    journal.close()
    assert snapshot(path.parent) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_reading_leaves_a_damaged_journal_where_it_is(journals: Journals, path: Path, damage: t.Callable[[Path], None]) -> None:
    filled(journals)
    damage(path)
    before = snapshot(path.parent)
    journal = journals(read_only=True)
    assert (len(journal.warnings), journal.entries(), journal.entry(KEY)) == (1, {}, None)
    assert snapshot(path.parent) == before


def test_reading_leaves_an_empty_file_empty(journals: Journals, path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert journals(read_only=True).entries() == {}
    assert path.stat().st_size == 0


def test_reading_does_not_close_a_journal_to_others(journals: Journals, path: Path) -> None:
    filled(journals)
    path.chmod(0o640)
    journals(read_only=True)
    assert mode(path) == 0o640


# One run at a time

HOLD = """
import sys
from ansible_collections.bigfile.oci.plugins.module_utils._journal import Journal
with Journal(sys.argv[1]).claim(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(path: Path) -> t.Iterator[subprocess.Popen[str]]:
    """Another process that holds the upload ``KEY``."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TREE), *sys.path])}
    command = [sys.executable, "-c", HOLD, str(path), KEY]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_run_of_the_same_upload_is_told_that_it_is_not_alone(journals: Journals, holder: subprocess.Popen[str]) -> None:
    assert holder.poll() is None
    with pytest.raises(Busy, match=r"another run sends this very file to this destination right now"), journals().claim(KEY):
        pass


def test_a_run_of_another_upload_goes_on(journals: Journals, holder: subprocess.Popen[str]) -> None:
    assert holder.poll() is None
    with journals().claim(OTHER):
        pass


def test_a_run_that_was_killed_holds_nothing(journals: Journals, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with journals().claim(KEY):
        pass


def test_a_run_that_ended_holds_nothing_and_leaves_no_lock(journals: Journals, path: Path, holder: subprocess.Popen[str]) -> None:
    holder.communicate("")
    assert list(path.parent.glob("*.lock")) == []
    with journals().claim(KEY):
        pass


def test_a_claim_is_given_back_after_an_error(journals: Journals) -> None:
    journal = journals()
    with pytest.raises(RuntimeError), journal.claim(KEY):
        raise RuntimeError
    with journal.claim(KEY):
        pass


def test_a_reader_neither_waits_nor_holds_anybody_up(journals: Journals, holder: subprocess.Popen[str]) -> None:
    assert holder.poll() is None
    with journals(read_only=True).claim(KEY):
        pass


def test_a_system_without_locks_is_told(journals: Journals, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(unused_handle: int, unused_how: int) -> t.NoReturn:
        raise OSError(37, "No locks available")

    journal = journals()
    monkeypatch.setattr(_journal.fcntl, "flock", no_locks)
    with pytest.raises(JournalError, match=r"No locks available; give a writable place with the option journal"), journal.claim(KEY):
        pass


def test_a_lock_that_its_last_holder_took_away_is_made_anew(journals: Journals, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It opened the file before the other unlinked it: that lock would keep nobody out."""
    flock, leaving = _journal.fcntl.flock, [True]

    def late(handle: int, how: int) -> None:
        if leaving:
            leaving.clear()
            next(path.parent.glob("*.lock")).unlink()
        flock(handle, how)

    journal = journals()
    monkeypatch.setattr(_journal.fcntl, "flock", late)
    with journal.claim(KEY):
        assert len(list(path.parent.glob("*.lock"))) == 1


def test_only_one_of_many_holds_the_upload_at_any_time(journals: Journals, path: Path) -> None:
    """The lock is unlinked by each holder, while others open it."""
    inside: list[int] = []
    most: list[int] = []
    errors: list[BaseException] = []
    journal = journals()

    def run() -> None:
        try:
            for number in range(200):
                try:
                    with journal.claim(KEY):
                        inside.append(number)
                        most.append(len(inside))
                        inside.pop()
                except Busy:
                    continue
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for unused in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (errors, set(most)) == ([], {1})
    assert list(path.parent.glob("*.lock")) == []
