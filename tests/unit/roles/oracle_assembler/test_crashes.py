# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What survives the death of the service: planted states of the disk, and SIGKILL."""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import contextlib
import dataclasses
import errno
import hashlib
import itertools
import os
import pathlib
import time
import typing as t

import pytest
from doubles import MIB, PART, Service, Upload

from oracle_assembler._sealed import cipher
from oracle_assembler._sealed.layout import SEALED
from oracle_assembler.config import Config
from oracle_assembler.keys import prepare_state
from oracle_assembler.problems import Problem
from oracle_assembler.store import sinks
from oracle_assembler.store.digests import Digests
from oracle_assembler.store.records import ENDING, PUBLISHED, PUBLISHING, RECEIVING, SINGLE, Records
from oracle_assembler.store.tree import identity_of
from oracle_assembler.uploads import beginning, receiving, singles, stitching, sweeping
from oracle_assembler.uploads.assembler import Assembler
from oracle_assembler.uploads.recovery import recover
from oracle_assembler.uploads.upload import Stitching
from oracle_assembler.uploads.upload import Upload as Pending

PLAIN_HASH = "$scrypt$ln=4,r=1,p=1$" + "A" * 22 + "$" + "A" * 43
PRIVATE_KEY = cipher.new_private_key()
T = t.TypeVar("T")


class Arrived:
    """A body that is there already."""

    def __init__(self, body: bytes) -> None:
        self._rest = memoryview(body)

    async def fill(self, view: memoryview) -> None:
        """The next bytes of it."""
        view[:], self._rest = self._rest[: len(view)], self._rest[len(view) :]

    @contextlib.contextmanager
    def tap(self) -> t.Iterator[None]:
        """There is no way past the event loop."""
        yield None

    def took(self, count: int) -> None:
        """Past the event loop."""


class Life:
    """One life of the service without HTTP: it recovers what the last one left."""

    def __init__(self, root: pathlib.Path, **settings: t.Any) -> None:
        users = [{"name": "dba", "password_hash": PLAIN_HASH, "folder": "dba"}]
        self.root = root
        (root / "data").mkdir(exist_ok=True)
        config = Config.model_validate({"data_dir": f"{root}/data", "state_dir": f"{root}/state", "users": users, **settings})
        prepare_state(config.state_dir)
        self.assembler = Assembler(config, PRIVATE_KEY)
        recover(self.assembler)

    def run(self, work: t.Coroutine[t.Any, t.Any, T]) -> T:
        """Do something in this life."""
        return asyncio.run(work)

    def begin(self, upload: Upload) -> Pending:
        """Begin an upload."""
        asked = upload.begin()
        sealing = asked.pop("sealing")
        return self.run(beginning.begin(self.assembler, "dba", beginning.Asked(**asked, header=sealing and sealing["header"])))[0]

    def put(self, upload: Upload, *numbers: int) -> None:
        """Receive parts."""
        for number in numbers or range(1, upload.parts + 1):
            body = upload.body(number)
            arriving = receiving.Arriving(number, len(body), self.key(upload), None)
            self.run(receiving.receive(self.assembler, self.pending(upload), arriving, Arrived(body)))

    def key(self, upload: Upload) -> str | None:
        """The wrapped key."""
        wrapped = cipher.wrap_key(upload.key, cipher.public_key_of(PRIVATE_KEY), upload.id)
        return base64.b64encode(wrapped).decode() if upload.sealed else None

    def pending(self, upload: Upload) -> Pending:
        """What this life knows of it."""
        return self.assembler.find("dba", upload.id)

    def stitch(self, upload: Upload, **changes: t.Any) -> Pending:
        """Stitch and wait."""
        asked = stitching.Asked(upload.path.split("/")[-1], len(upload.data), upload.sha256, self.key(upload), None, True, "request")

        async def work() -> None:
            pending = self.pending(upload)
            await stitching.stitch(self.assembler, pending, asked._replace(**changes))
            if pending.stitching and pending.stitching.task:
                await pending.stitching.task

        self.run(work())
        return self.pending(upload)

    @property
    def published(self) -> pathlib.Path:
        """Where the file of these tests goes."""
        return self.root / "data" / "dba" / "dumps" / "exp"


@pytest.fixture(params=[(True, "with_parts"), (True, "at_stitch"), (False, "with_parts")], ids=["early", "late", "plain"])
def upload(request: pytest.FixtureRequest) -> Upload:
    """Three parts, or so, in each way of sealing."""
    sealed, release_key = request.param
    return Upload("dumps/exp", os.urandom(2 * PART + 5), sealed, release_key)


def segments(life: Life, upload: Upload) -> pathlib.Path:
    """The segments folder."""
    return life.published.parent / f".{upload.id}.segments"


def partial(life: Life, upload: Upload) -> pathlib.Path:
    """The partial file."""
    return life.published.parent / f".{upload.id}.partial"


def test_acknowledged_parts_are_read_off_the_disk(tmp_path: pathlib.Path, upload: Upload) -> None:
    life = Life(tmp_path)
    life.begin(upload)
    life.put(upload, 1, 3)
    again = Life(tmp_path)
    assert sorted(again.pending(upload).received) == [1, 3]
    assert again.pending(upload).bytes_received == life.pending(upload).bytes_received
    again.put(upload, 2)
    assert again.stitch(upload).is_published()
    assert again.published.read_bytes() == upload.data


def test_a_crash_before_the_folders_were_made_leaves_an_upload_that_can_go_on(tmp_path: pathlib.Path, upload: Upload) -> None:
    life = Life(tmp_path)
    life.begin(upload)
    segments(life, upload).rmdir()
    partial(life, upload).unlink()
    again = Life(tmp_path)
    again.put(upload)
    assert again.stitch(upload).is_published()


def test_parts_that_were_opened_into_a_lost_partial_file_do_not_count(tmp_path: pathlib.Path) -> None:
    upload, life = Upload("dumps/exp", os.urandom(2 * PART), True, "with_parts"), Life(tmp_path)
    life.begin(upload)
    life.put(upload)
    partial(life, upload).unlink()
    assert Life(tmp_path).pending(upload).received == {}


@pytest.mark.parametrize(
    "name, content",
    [("2.opened", b"torn"), ("2.sealed", b"torn"), ("2.incoming", b"x" * 99), ("2.opened.new", b"x"), ("99.opened", b"x" * 32)],
)
def test_torn_leftovers_of_a_part_do_not_count_and_are_removed(tmp_path: pathlib.Path, upload: Upload, name: str, content: bytes) -> None:
    life = Life(tmp_path)
    life.begin(upload)
    life.put(upload, 1)
    (segments(life, upload) / name).write_bytes(content)
    assert sorted(Life(tmp_path).pending(upload).received) == [1]
    assert not (segments(life, upload) / name).exists()


PAGE = 4096


@pytest.mark.parametrize("pages", [0, 1, 200, 255, 256, 257])
@pytest.mark.parametrize("segment", [0, 1, 6])
def test_a_crash_in_the_middle_of_opening_a_segment_where_it_stands_costs_nothing(tmp_path: pathlib.Path, segment: int, pages: int) -> None:
    """A write that is cut short leaves the first pages opened and the rest sealed."""
    upload, life = Upload("dumps/exp", os.urandom(8 * MIB + 12345), True, "at_stitch"), Life(tmp_path)
    life.begin(upload)
    life.put(upload)
    sealed = partial(life, upload).read_bytes()
    offset, size = SEALED.offset(segment), SEALED.offset(segment + 1) - SEALED.offset(segment)
    cut = min(max(0, pages * PAGE - offset % PAGE), size)
    with partial(life, upload).open("r+b") as file:
        file.write(upload.data[:offset])
        file.seek(offset)
        file.write(upload.data[offset : offset + cut])
    assert partial(life, upload).read_bytes()[offset + cut :] == sealed[offset + cut :]
    again = Life(tmp_path)
    assert set(again.pending(upload).received.values()) == {"sealed"}
    assert again.stitch(upload).is_published()
    assert again.published.read_bytes() == upload.data


def test_a_crash_between_opening_a_part_and_noting_it_costs_nothing(tmp_path: pathlib.Path) -> None:
    upload, life = Upload("dumps/exp", os.urandom(2 * PART), True, "at_stitch"), Life(tmp_path)
    life.begin(upload)
    life.put(upload)
    life.stitch(upload, sha256="0" * 64)
    assert sorted(path.suffix for path in segments(life, upload).iterdir()) == [".opened"] * upload.parts
    (segments(life, upload) / "1.opened").rename(segments(life, upload) / "1.sealed")
    again = Life(tmp_path)
    assert again.pending(upload).received[1] == "sealed"
    assert again.stitch(upload).is_published()
    assert again.published.read_bytes() == upload.data


def test_stitching_half_opened_goes_on_after_a_restart_and_needs_no_second_copy(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, life = Upload("dumps/exp", os.urandom(6 * PART), True, "at_stitch"), Life(tmp_path)
    life.begin(upload)
    life.put(upload)
    opened: list[int] = []
    real = stitching.open_sealed_part

    def some(workspace: t.Any, number: int, stream: t.Any) -> None:
        if len(opened) >= 3:
            raise OSError(5, "Input/output error")
        opened.append(number)
        real(workspace, number, stream)
        kept = [*segments(life, upload).iterdir(), partial(life, upload)]
        assert sum(path.stat().st_blocks * 512 for path in kept) <= len(upload.data) + PAGE * (2 * upload.parts + 1)

    monkeypatch.setattr(stitching, "open_sealed_part", some)
    problem = life.stitch(upload).problem
    assert problem and problem["type"].endswith("storage-failed") and problem["retryable"]
    monkeypatch.undo()
    again = Life(tmp_path)
    assert sorted(number for number, state in again.pending(upload).received.items() if state == "opened") == sorted(opened)
    assert again.stitch(upload).is_published()
    assert again.published.read_bytes() == upload.data


RECEIPT = {"upload_id": "x", "path": "dumps/exp", "size": 1, "sha256": "y", "mode": "0640", "published": "2026-01-01T00:00:00Z"}


def intend(life: Life, upload: Upload) -> None:
    """The state of the record just before the rename."""
    receipt = {**RECEIPT, "upload_id": upload.id, "sha256": upload.sha256, "size": len(upload.data)}
    identity = identity_of(os.stat(partial(life, upload)))
    life.assembler.records.change(life.pending(upload).record, state=PUBLISHING, receipt=receipt, identity=identity)


def known(life: Life) -> str | None:
    """The digest that the service would tell of the published file."""
    return life.assembler.digests.known("dba", "dumps/exp", os.stat(life.published))


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("step", ["publish: sync", "note", "record"])
def test_what_fails_behind_the_rename_is_settled_by_the_next_stitch_call(
    tmp_path: pathlib.Path, upload: Upload, monkeypatch: pytest.MonkeyPatch, step: str, overwrite: bool
) -> None:
    life = Life(tmp_path)
    life.begin(upload)
    life.put(upload)
    with monkeypatch.context() as broken:
        if step == "publish: sync":
            broken.setattr(os, "fsync", failing(os.fsync, 4))  # of the folder, after those of the file and of the record
        elif step == "note":
            broken.setattr(Digests, "note", failing(Digests.note, 1))
        else:
            broken.setattr(Records, "save", failing(Records.save, 2))
        pending = life.stitch(upload, overwrite=overwrite)
    assert not pending.is_published() and life.published.read_bytes() == upload.data
    told = pending.describe(60)
    assert (told["state"], told["receipt"]) == ("receiving", None)
    assert told["problem"]["type"].endswith(":storage-failed") and told["problem"]["retryable"]
    pending = life.stitch(upload, overwrite=overwrite)
    assert pending.is_published() and pending.problem is None
    assert pending.record.receipt and pending.record.receipt["sha256"] == upload.sha256
    assert life.published.read_bytes() == upload.data
    assert known(life) == upload.sha256
    assert not segments(life, upload).exists() and not partial(life, upload).exists()


def failing(function: t.Callable[..., T], call: int) -> t.Callable[..., T]:
    """The function, but for one call of it, by which the storage fails."""
    calls = itertools.count(1)

    def fails_once(*args: t.Any, **options: t.Any) -> T:
        if next(calls) == call:
            raise OSError(errno.EIO, "Input/output error")
        return function(*args, **options)

    return fails_once


def test_many_that_publish_one_name_at_once_all_succeed_and_the_digest_is_that_of_the_last(tmp_path: pathlib.Path) -> None:
    life = Life(tmp_path)
    uploads = [Upload("dumps/exp", os.urandom(2 * MIB + number), True, "with_parts") for number in range(12)]
    for one in uploads:
        life.begin(one)
        life.put(one)

    async def work() -> None:
        for one in uploads:
            asked = stitching.Asked("exp", len(one.data), one.sha256, life.key(one), None, True, "request")
            await stitching.stitch(life.assembler, life.pending(one), asked)
        await asyncio.gather(*(stitching.outcome(life.pending(one), 10) for one in uploads))

    life.run(work())
    assert [life.pending(one).problem for one in uploads] == [None] * 12
    assert all(life.pending(one).is_published() for one in uploads)
    assert known(life) == hashlib.sha256(life.published.read_bytes()).hexdigest()


def test_the_digest_index_holds_under_many_threads(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    life = Life(tmp_path)
    upload = Upload("dumps/exp", os.urandom(MIB), False, "with_parts")
    life.begin(upload)
    life.put(upload)
    life.stitch(upload)
    workspace, mine = life.pending(upload).workspace, identity_of(os.stat(life.published))
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        jobs = [threads.submit(life.assembler.digests.note, workspace, mine, upload.sha256) for _each in range(400)]
        jobs += [threads.submit(life.assembler.digests.note, workspace, [*mine[:3], 0], "of another") for _each in range(100)]
        assert [job.result() for job in jobs] == [None] * 500
    assert caplog.text == ""
    assert known(life) == upload.sha256


def test_a_file_that_took_the_place_of_ours_before_the_start_does_not_get_our_digest(tmp_path: pathlib.Path, upload: Upload) -> None:
    life = Life(tmp_path)
    life.begin(upload)
    life.put(upload)
    intend(life, upload)
    partial(life, upload).rename(life.published)
    life.published.unlink()
    life.published.write_bytes(b"another's")
    again = Life(tmp_path)
    assert again.pending(upload).is_published()
    assert known(again) is None


def test_a_crash_before_the_rename_leaves_it_receiving_with_all_parts(tmp_path: pathlib.Path, upload: Upload) -> None:
    life = Life(tmp_path)
    life.begin(upload)
    life.put(upload)
    intend(life, upload)
    again = Life(tmp_path)
    assert (again.pending(upload).record.state, again.pending(upload).record.receipt) == (RECEIVING, None)
    assert again.pending(upload).missing() == []
    assert again.stitch(upload).is_published()


@pytest.mark.parametrize("how", ["renamed", "linked"])
def test_a_crash_after_the_rename_is_a_published_upload_with_its_receipt(tmp_path: pathlib.Path, how: str) -> None:
    upload, life = Upload("dumps/exp", os.urandom(PART), False, "with_parts"), Life(tmp_path)
    life.begin(upload)
    life.put(upload)
    intend(life, upload)
    (partial(life, upload).rename if how == "renamed" else life.published.hardlink_to)(
        life.published if how == "renamed" else partial(life, upload)
    )
    again = Life(tmp_path)
    assert again.pending(upload).record.state == PUBLISHED
    assert again.pending(upload).describe(60)["receipt"]["sha256"] == upload.sha256
    assert again.published.read_bytes() == upload.data
    assert [path.name for path in again.published.parent.iterdir()] == ["exp"]
    assert again.assembler.digests.known("dba", "dumps/exp", again.published.stat()) == upload.sha256
    assert again.stitch(upload).is_published()


def test_a_part_that_comes_during_the_stitching_is_told_to_wait(tmp_path: pathlib.Path) -> None:
    upload, life = Upload("dumps/exp", os.urandom(PART), True, "with_parts"), Life(tmp_path)
    life.begin(upload).stitching = Stitching(upload.sha256)
    with pytest.raises(Problem, match="is being stitched") as caught:
        life.put(upload, 1)
    assert caught.value.kind.retryable


def test_a_stitching_that_fails_is_one_event_with_the_ids_and_the_cause(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upload, life = Upload("dumps/exp", os.urandom(PART), True, "with_parts"), Life(tmp_path)
    life.begin(upload)
    life.put(upload)
    told: list[tuple[str, dict[str, t.Any]]] = []
    life.assembler.observe = lambda event, **facts: told.append((event, facts))

    def broken(*_unused: t.Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(stitching, "make_durable", broken)
    problem = life.stitch(upload).problem
    ((event, facts),) = told
    assert (event, facts["upload_id"], facts["request_id"], facts["outcome"]) == ("stitched", upload.id, "request", "storage-failed")
    assert problem and problem["request_id"] == "request" and isinstance(facts["failure"], OSError)


def test_a_crash_right_after_publishing_leaves_no_segments(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upload, life = Upload("dumps/exp", os.urandom(PART), True, "with_parts"), Life(tmp_path)
    pending = life.begin(upload)
    life.put(upload)
    monkeypatch.setattr(type(pending.workspace), "remove", lambda workspace: None)
    assert life.stitch(upload).is_published()
    monkeypatch.undo()
    assert segments(life, upload).exists()
    Life(tmp_path)
    assert not segments(life, upload).exists()


@pytest.mark.parametrize("state", [ENDING, SINGLE])
def test_what_was_being_ended_and_single_files_under_way_are_gone_after_a_restart(tmp_path: pathlib.Path, state: str) -> None:
    upload, life = Upload("dumps/exp", os.urandom(PART), True, "with_parts"), Life(tmp_path)
    life.begin(upload)
    life.put(upload, 1)
    life.assembler.records.change(life.pending(upload).record, state=state)
    again = Life(tmp_path)
    with pytest.raises(Problem, match="there is no upload"):
        again.pending(upload)
    assert list(life.published.parent.iterdir()) == []
    assert list((tmp_path / "state" / "uploads").iterdir()) == []


@pytest.mark.parametrize("refused", [False, True], ids=["let go", "not to be had"])
def test_the_page_cache_is_let_go_of_behind_the_digest_which_goes_on_without(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    upload, ends = Upload("dumps/exp", os.urandom(2 * PART + 5), True, "at_stitch"), []

    def advise(descriptor: int, offset: int, length: int, advice: int) -> None:
        assert (os.fstat(descriptor).st_size, offset, advice) == (len(upload.data), 0, os.POSIX_FADV_DONTNEED)
        ends.append(length)
        if refused:
            raise OSError(errno.EIO, "bad disk")

    life = Life(tmp_path)
    life.begin(upload)
    life.put(upload)
    monkeypatch.setattr("oracle_assembler.uploads.following._STEP", PART)
    monkeypatch.setattr(os, "posix_fadvise", advise)
    assert life.stitch(upload).is_published()
    assert life.published.read_bytes() == upload.data
    assert ends == sorted(set(ends)) and ends[-1] == len(upload.data)


def begin_in_vain(life: Life, upload: Upload, number: int) -> None:
    """Receive a part, or the whole file when the number is 0, and give up when the file was just opened."""

    async def work() -> None:
        opening = asyncio.Event()
        submit, loop = life.assembler.threads.control.submit, asyncio.get_running_loop()

        def watched(function: t.Callable[..., t.Any], *args: t.Any, **kwargs: t.Any) -> concurrent.futures.Future[t.Any]:
            if function is sinks.opened or getattr(function, "__name__", "") == "take":
                loop.call_soon(opening.set)
            return submit(function, *args, **kwargs)

        body = upload.body(max(1, number))
        life.assembler.threads.control.submit = watched  # type: ignore[method-assign]
        if number:
            arriving = receiving.Arriving(number, len(body), life.key(upload), None)
            task = asyncio.ensure_future(receiving.receive(life.assembler, life.pending(upload), arriving, Arrived(body)))
        else:
            whole = singles.Arriving(
                upload.id, upload.path, len(upload.data), upload.sha256, upload.sealed, life.key(upload), None, True, len(body)
            )
            task = asyncio.ensure_future(singles.receive_file(life.assembler, "dba", whole, Arrived(body)))
        await opening.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    life.run(work())


@pytest.mark.parametrize("number", [0, 1], ids=["whole", "part"])
def test_whoever_gives_up_when_the_file_is_just_open_leaves_it_closed(tmp_path: pathlib.Path, number: int) -> None:
    upload, life = Upload("dumps/exp", os.urandom(MIB), True, "with_parts"), Life(tmp_path)
    if number:
        life.begin(upload)
    before = len(os.listdir("/proc/self/fd"))
    begin_in_vain(life, upload, number)
    assert len(os.listdir("/proc/self/fd")) == before
    if not number:
        assert list(life.published.parent.iterdir()) == []
        assert list((tmp_path / "state" / "uploads").iterdir()) == []


def test_a_record_that_cannot_be_read_stops_nothing(tmp_path: pathlib.Path) -> None:
    upload, life = Upload("dumps/exp", b"x", True, "with_parts"), Life(tmp_path)
    life.begin(upload)
    (tmp_path / "state" / "uploads" / f"{'0' * 32}.json").write_text("{", "utf-8")
    assert Life(tmp_path).pending(upload).missing() == [(1, 1)]


@pytest.mark.parametrize("content", [b"", bytes(300)], ids=["empty", "zeros"])
def test_a_record_that_a_power_cut_left_empty_goes_and_so_does_what_it_stood_for(tmp_path: pathlib.Path, content: bytes) -> None:
    upload, life = Upload("dumps/exp", b"x", True, "with_parts"), Life(tmp_path)
    life.begin(upload)
    (tmp_path / "state" / "uploads" / f"{upload.id}.json").write_bytes(content)
    again = Life(tmp_path)
    assert list((tmp_path / "state" / "uploads").iterdir()) == []
    again.run(sweeping.sweep_orphans(again.assembler, time.time() + again.assembler.config.upload_age + 1))
    assert list(life.published.parent.iterdir()) == []


def test_a_destination_that_was_taken_by_a_folder_meanwhile_is_a_problem_and_nothing_is_lost(tmp_path: pathlib.Path) -> None:
    upload, life = Upload("dumps/exp", b"content", True, "with_parts"), Life(tmp_path)
    life.begin(upload)
    life.put(upload)
    life.published.mkdir()
    with pytest.raises(Problem, match="not a regular file"):
        life.stitch(upload)
    life.published.rmdir()
    assert life.stitch(upload).is_published()


def test_abandoned_uploads_and_old_receipts_expire_and_each_part_slides_the_expiry(tmp_path: pathlib.Path) -> None:
    life = Life(tmp_path, upload_age=100)
    abandoned, done = Upload("dumps/a", b"x", True, "with_parts"), Upload("dumps/exp", b"x", True, "with_parts")
    for upload in (abandoned, done):
        life.begin(upload)
        life.put(upload)
    life.stitch(done)
    os.utime(segments_of := life.published.parent / f".{abandoned.id}.segments", (0, 0))
    assert segments_of.exists()
    again = Life(tmp_path, upload_age=100)
    assert again.pending(abandoned).expires(100) == 100
    again.run(sweeping.sweep(again.assembler, 99))
    assert again.pending(abandoned)
    again.run(sweeping.sweep(again.assembler, time.time()))
    assert set(again.assembler.uploads) == {done.id}
    again.run(sweeping.sweep(again.assembler, time.time() + 101))
    assert again.assembler.uploads == {}
    assert [path.name for path in life.published.parent.iterdir()] == ["exp"]


def test_a_pending_upload_keeps_its_promise_of_room_after_a_restart(tmp_path: pathlib.Path) -> None:
    late = Upload("dumps/exp", os.urandom(2 * PART), True, "at_stitch")
    early = Upload("dumps/early", os.urandom(2 * PART), True, "with_parts")
    life = Life(tmp_path)
    for upload in (late, early):
        life.begin(upload)
    life.put(late, 1)
    for one in (life, Life(tmp_path)):
        assert one.pending(early).promised == one.pending(late).promised == 0
    for upload in (late, early):
        assert partial(life, upload).stat().st_blocks * 512 >= 2 * PART


def test_room_that_the_disk_cannot_reserve_stays_promised(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oracle_assembler.store.workspace.reserve", lambda descriptor, size: bool(os.ftruncate(descriptor, size)))
    upload = Upload("dumps/exp", os.urandom(2 * PART), True, "at_stitch")
    life = Life(tmp_path)
    life.begin(upload)
    assert life.pending(upload).promised == len(upload.data)
    life.put(upload, 1)
    for one in (life, Life(tmp_path)):
        assert one.pending(upload).promised == len(upload.data) - one.pending(upload).record.part(1).size


def test_a_disk_that_is_full_ends_a_begin_call_and_leaves_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    life = Life(tmp_path)

    def full(descriptor: int, size: int) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("oracle_assembler.store.workspace.reserve", full)
    with pytest.raises(Problem) as caught:
        life.begin(Upload("dumps/exp", bytes(PART), True, "with_parts"))
    assert (caught.value.name, caught.value.members["needed"]) == ("disk-full", PART)
    assert list(life.published.parent.iterdir()) == [] and list((tmp_path / "state" / "uploads").iterdir()) == []


def test_a_begin_call_after_one_that_was_cut_off_by_a_crash_makes_the_same_upload(tmp_path: pathlib.Path) -> None:
    upload, life = Upload("dumps/exp", os.urandom(PART), True, "with_parts"), Life(tmp_path)
    before = life.begin(upload).record
    after = Life(tmp_path).begin(upload).record
    assert dataclasses.replace(after, created=0) == dataclasses.replace(before, created=0)


def test_sigkill_while_parts_stream_and_while_stitching_loses_nothing_that_was_acknowledged(own_service: Service) -> None:
    client = own_service.start().client()
    upload = client.begin(os.urandom(40 * MIB), "dumps/exp", release_key="at_stitch")
    for number in (1, 2, 3):
        client.put(upload, number)
    own_service.restart()
    assert client.state(upload)["received"] == [[1, 3]]
    for number in range(4, upload.parts + 1):
        client.put(upload, number)
    for delay in (0.0, 0.02, 0.06):
        if client.stitch(upload).status_code == 200:
            break
        time.sleep(delay)
        own_service.restart()
        assert client.state(upload)["received"] == [[1, upload.parts]]
    client.stitch(upload)
    assert client.settled(upload)["receipt"]["sha256"] == upload.sha256
    assert client.get_file("dumps/exp").content == upload.data
    assert [path.name for path in (own_service.data / "dumps").iterdir()] == ["exp"]


def test_sigterm_lets_a_request_finish_and_a_second_service_on_the_folder_is_refused(own_service: Service) -> None:
    client = own_service.start().client()
    second = own_service.run("serve")
    assert second.returncode == 1 and len(second.stderr.splitlines()) == 1
    upload = client.begin(os.urandom(PART), "dumps/exp", sealed=False)
    process = own_service.process
    assert process is not None

    def slowly() -> t.Iterator[bytes]:
        yield upload.data[:MIB]
        process.terminate()
        time.sleep(0.3)
        yield upload.data[MIB:]

    class Body:
        def __iter__(self) -> t.Iterator[bytes]:
            return slowly()

        def __len__(self) -> int:
            return PART

    assert client.put(upload, 1, Body()).status_code == 201
    assert process.wait(10) == 0
