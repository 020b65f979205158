# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import base64
import collections
import hashlib
import threading
import typing as t

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils import _transfer
from ansible_collections.bigfile.oci.plugins.module_utils._errors import (
    Busy,
    Damaged,
    Refused,
    SourceChanged,
    Unreachable,
    Untrusted,
    UploadError,
)
from ansible_collections.bigfile.oci.plugins.module_utils._names import journal_key
from ansible_collections.bigfile.oci.plugins.module_utils._outcome import Outcome
from ansible_collections.bigfile.oci.plugins.module_utils._upload import Uploader, absent
from ansible_collections.bigfile.oci.plugins.module_utils._wish import Wish
from ansible_collections.bigfile.oci.tests.unit.plugins.module_utils.doubles import (
    MemoryJournal,
    MemoryService,
    MemorySource,
    MiB,
    QuickRun,
    patiently,
    pattern,
)

PATH = "dumps/exp.dmp"
SIZE = 17 * MiB
"""Four parts of 5 MiB, the last of them shorter."""

OWN_KEY = bytes(range(32))


class World:
    """A source, a journal and a service; each ``upload`` is a run of the module."""

    def __init__(self, size: int = SIZE) -> None:
        self.source = MemorySource(pattern(size))
        self.journal = MemoryJournal()
        self.service = MemoryService()
        self.run = QuickRun()

    @property
    def key(self) -> str:
        return journal_key(self.source.path, self.service.base, PATH)

    @property
    def entry(self) -> dict[str, t.Any]:
        entry = self.journal.entry(self.key)
        assert entry is not None
        return entry

    def upload(self, **wish: t.Any) -> Outcome:
        self.source.look_again()
        self.service.calls.clear()
        self.service.sent.clear()
        self.run = QuickRun()
        self.journal.read_only = wish.get("check_mode", False)
        uploader = Uploader(
            Wish(PATH, **{"part_size": 5 * MiB, "threads": 2, **wish}),
            source=self.source,  # type: ignore[arg-type]
            journal=self.journal,  # type: ignore[arg-type]
            service=self.service,  # type: ignore[arg-type]
            run=self.run,
            persist=patiently,
        )
        return uploader.present()

    def interrupted(self, after: int = 2, **wish: t.Any) -> None:
        """A run that dies when ``after`` parts are there. One thread, so that it is known which."""
        received = self.service.received

        def dying(data: bytes, number: int) -> bytes:
            if number > after:
                raise Killed
            return data

        self.service.received = dying  # type: ignore[method-assign]
        with pytest.raises(Killed):
            self.upload(threads=1, **wish)
        self.service.received = received  # type: ignore[method-assign]

    @property
    def published(self) -> bytes | None:
        return self.service.contents.get(PATH)


def same(first: dict[str, t.Any], second: dict[str, t.Any], *names: str) -> list[str]:
    """Which members two entries have in common."""
    return [name for name in names if first[name] == second[name]]


class Killed(BaseException):
    """The process ends, whatever it does."""


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def small() -> World:
    return World(1000)


# The whole way


@pytest.mark.parametrize("release_key", ["with_parts", "at_stitch"])
@pytest.mark.parametrize("encrypt", [True, False])
@pytest.mark.parametrize("encryption_key", [None, OWN_KEY])
def test_what_is_published_is_the_source(world: World, encrypt: bool, encryption_key: bytes | None, release_key: str) -> None:
    outcome = world.upload(encrypt=encrypt, encryption_key=encryption_key, release_key=release_key)
    assert world.published == world.source.content
    assert (outcome.changed, outcome.encrypted, outcome.resumed, outcome.parts) == (True, encrypt, False, 4)
    assert outcome.sha256 == hashlib.sha256(world.source.content).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001])
@pytest.mark.parametrize("encrypt", [True, False])
def test_below_the_threshold_one_request_does_all(size: int, encrypt: bool) -> None:
    world = World(size)
    world.upload(threshold=1000, encrypt=encrypt)
    assert world.published == world.source.content
    assert ("put_file" in world.service.calls) == (size < 1000)
    assert ("begin" in world.service.calls) == (size >= 1000)


@pytest.mark.parametrize("threads", [1, 2, 4, 64])
def test_any_number_of_threads_sends_each_part_once(world: World, threads: int) -> None:
    outcome = world.upload(threads=threads)
    assert sorted(world.service.sent) == [1, 2, 3, 4]
    assert (outcome.parts_sent, outcome.parts_present) == (4, 0)
    assert outcome.bytes_sent == sum(len(part) for part in world.service.parts[str(outcome.upload_id)].values())


def test_after_the_receipt_nothing_is_kept_of_the_upload(world: World) -> None:
    world.upload()
    assert (world.journal.uploads, world.journal.noted, world.journal.claimed) == ({}, {}, [])


def test_the_key_crosses_the_wire_wrapped_only(world: World) -> None:
    kept: list[str] = []
    begin = world.journal.begin
    world.journal.begin = lambda key, entry: (kept.append(entry["key"]), begin(key, entry))[1]  # type: ignore[func-returns-value, method-assign]
    world.upload()
    wire = repr((world.service.wanted, world.service.pending, world.service.headers))
    assert kept
    assert not any(key in wire or base64.b64decode(key).hex() in wire for key in kept)


def test_at_stitch_no_part_carries_the_key(world: World) -> None:
    world.interrupted(release_key="at_stitch")
    assert [upload["key"] for upload in world.service.pending.values()] == [None]


def test_a_random_key_is_kept_until_the_receipt_and_a_user_s_key_never(world: World) -> None:
    world.interrupted()
    assert len(base64.b64decode(world.entry["key"])) == 32
    other = World()
    other.interrupted(encryption_key=OWN_KEY)
    assert other.entry["key"] is None
    assert base64.b64encode(OWN_KEY).decode() not in repr(other.journal.uploads)
    assert OWN_KEY.hex() not in repr(other.journal.uploads)


def test_the_stitching_is_asked_for_by_name_size_digest_and_mode(world: World) -> None:
    world.upload(mode="0600")
    assert (
        world.service.wanted.items()
        >= {
            "name": "exp.dmp",
            "size": SIZE,
            "sha256": hashlib.sha256(world.source.content).hexdigest(),
            "mode": "0600",
            "overwrite": True,
        }.items()
    )
    assert world.service.files[PATH]["mode"] == "0600"


def test_a_whole_file_carries_its_mode(small: World) -> None:
    small.upload(mode="0600")
    assert small.service.headers["Upload-Mode"] == "0600"


def test_two_uploads_have_nothing_in_common(world: World) -> None:
    entries = []
    for seed in (1, 2):
        world.source.change(pattern(SIZE, seed))
        world.interrupted()
        entries.append(world.entry)
    first, second = entries
    assert not same(first, second, "id", "key", "header", "key_check")


# Unchanged


def test_an_unchanged_file_costs_one_question_and_no_read(world: World) -> None:
    world.upload()
    world.source.reads = 0
    outcome = world.upload()
    assert (outcome.changed, outcome.sha256) == (False, hashlib.sha256(world.source.content).hexdigest())
    assert (world.service.calls, world.source.reads) == (["file"], 0)


@pytest.mark.parametrize("encryption_key", [None, OWN_KEY])
def test_an_unchanged_small_file_costs_one_question_too(small: World, encryption_key: bytes | None) -> None:
    small.upload(encryption_key=encryption_key)
    small.source.reads = 0
    assert not small.upload(encryption_key=encryption_key).changed
    assert (small.service.calls, small.source.reads) == (["file"], 0)


def test_verify_always_reads_the_source_and_sends_nothing(world: World) -> None:
    world.upload()
    world.source.reads = 0
    assert not world.upload(verify="always").changed
    assert (world.service.calls, world.source.reads) == (["file"], 1)


def test_a_digest_that_is_not_remembered_is_computed_once(world: World) -> None:
    world.service.place(PATH, world.source.content)
    assert [world.upload().changed, world.upload().changed, world.source.reads] == [False, False, 1]


def test_a_file_of_another_size_is_not_read_to_compare_it(small: World) -> None:
    small.service.place(PATH, b"other")
    small.upload(check_mode=True)
    assert small.source.reads == 0


@pytest.mark.parametrize("there", [b"other", pattern(1000, 7)])
def test_other_content_is_replaced(small: World, there: bytes) -> None:
    small.service.place(PATH, there)
    assert small.upload().changed
    assert small.published == small.source.content


def test_a_file_whose_digest_the_service_does_not_know_is_replaced(small: World) -> None:
    small.service.place(PATH, small.source.content, sha256=None)
    assert small.upload(check_mode=True).changed
    assert small.source.reads == 0
    assert small.upload().changed
    assert "put_file" in small.service.calls


def test_the_mode_alone_may_change(small: World) -> None:
    small.upload(mode="0640")
    outcome = small.upload(mode="0600")
    assert (outcome.changed, outcome.parts_sent, small.service.calls) == (True, 0, ["file", "set_mode"])
    assert not small.upload(mode="0600").changed


def test_a_mode_that_nobody_asked_for_is_left_alone(small: World) -> None:
    small.upload(mode="0600")
    assert not small.upload().changed
    assert small.service.files[PATH]["mode"] == "0600"


def test_a_receipt_that_was_missed_is_made_up_for(world: World) -> None:
    """The service published, and the client was killed before it heard so."""
    received = world.service.stitch

    def unheard(upload_id: str, wanted: dict[str, t.Any]) -> dict[str, t.Any]:
        received(upload_id, wanted)
        raise Killed

    world.service.stitch = unheard  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.upload()
    assert world.journal.uploads
    assert not world.upload().changed
    assert (world.journal.uploads, world.service.sent) == ({}, [])


# Without force


def test_without_force_any_file_is_left_alone(small: World) -> None:
    small.service.place(PATH, b"other")
    outcome = small.upload(force=False, mode="0600")
    assert (outcome.changed, outcome.size, small.published) == (False, 5, b"other")
    assert (small.service.calls, small.source.reads) == (["file"], 0)


@pytest.mark.parametrize("size", [1000, SIZE])
def test_without_force_a_missing_file_is_sent(size: int) -> None:
    world = World(size)
    assert world.upload(force=False).changed
    assert world.published == world.source.content


def test_without_force_a_file_that_appears_meanwhile_is_left_to_the_service_to_refuse(world: World, small: World) -> None:
    world.upload(force=False)
    small.upload(force=False)
    assert world.service.wanted["overwrite"] is False
    assert small.service.headers["If-None-Match"] == "*"
    small.source.change(pattern(1000, 2))
    small.upload()
    assert "If-None-Match" not in small.service.headers


# Resuming


@pytest.mark.parametrize("release_key", ["with_parts", "at_stitch"])
@pytest.mark.parametrize("options", [{}, {"encrypt": False}, {"encryption_key": OWN_KEY}], ids=["random", "plain", "own"])
def test_the_next_run_sends_what_is_missing(world: World, options: dict[str, t.Any], release_key: str) -> None:
    world.interrupted(2, release_key=release_key, **options)
    upload_id = world.entry["id"]
    outcome = world.upload(release_key=release_key, **options)
    assert sorted(world.service.sent) == [3, 4]
    assert (outcome.resumed, outcome.upload_id, outcome.parts_present, outcome.parts_sent) == (True, upload_id, 2, 2)
    assert world.published == world.source.content
    assert world.journal.uploads == {}


def test_parts_are_noted_as_they_are_acknowledged(world: World) -> None:
    world.interrupted(3)
    assert world.journal.parts(world.key) == [1, 2, 3]


@pytest.mark.parametrize(("there", "noted"), [([1], [1, 2, 3]), ([1, 2, 3], []), ([3], [1])])
def test_the_service_s_list_counts_and_not_ours(world: World, there: list[int], noted: list[int]) -> None:
    world.interrupted(3)
    parts = world.service.parts[world.entry["id"]]
    kept = {number: parts[number] for number in there}
    world.service.parts[world.entry["id"]] = kept
    world.journal.noted[world.key] = noted
    to_send = sorted({1, 2, 3, 4} - set(kept))
    world.upload()
    assert sorted(world.service.sent) == to_send


def test_an_upload_goes_on_with_the_plan_it_was_begun_with(world: World) -> None:
    world.interrupted(2)
    outcome = world.upload(part_size=None, split=1, release_key="at_stitch")
    assert (outcome.part_size, outcome.parts, sorted(world.service.sent)) == (5 * MiB, 4, [3, 4])


def test_an_upload_of_which_all_is_there_is_only_stitched(world: World) -> None:
    def killed(unused_id: str, unused_wanted: object) -> t.NoReturn:
        raise Killed

    stitch, world.service.stitch = world.service.stitch, killed  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.upload()
    world.service.stitch = stitch  # type: ignore[method-assign]
    outcome = world.upload()
    assert (outcome.parts_sent, outcome.parts_present, world.published) == (0, 4, world.source.content)


def test_an_upload_that_the_service_forgot_is_begun_anew_with_another_key(world: World) -> None:
    world.interrupted()
    old = world.entry
    world.service.pending.clear()
    world.interrupted(3)
    assert not same(old, world.entry, "id", "key", "header")
    assert world.journal.parts(world.key) == [1, 2, 3]
    assert world.upload().resumed


def test_a_run_that_failed_says_what_is_safe(world: World) -> None:
    def refused(data: bytes, number: int) -> bytes:
        if number == 3:
            raise Refused("no room", status=507, problem="disk-full")
        return data

    world.service.received = refused  # type: ignore[method-assign]
    with pytest.raises(Refused, match=r"^no room\. 2 of 4 parts are safe on the server; run the task again to continue$") as caught:
        world.upload(threads=1)
    assert caught.value.facts.items() >= {"parts": 4, "parts_present": 2, "upload_id": world.entry["id"]}.items()


def test_a_run_of_which_nothing_is_safe_promises_nothing(world: World) -> None:
    def refused(unused: object) -> t.NoReturn:
        raise Refused("no room", status=507, problem="disk-full")

    world.service.begin = refused  # type: ignore[method-assign]
    with pytest.raises(Refused, match=r"^no room$"):
        world.upload()


def test_an_upload_runs_under_its_claim(world: World) -> None:
    def busy(unused: str) -> t.NoReturn:
        raise Busy("another run")

    world.journal.claim = busy  # type: ignore[method-assign]
    with pytest.raises(Busy):
        world.upload()
    assert world.service.calls == []


# A source that changes


def test_a_source_that_changed_between_runs_aborts_the_old_upload_and_begins_anew(world: World) -> None:
    world.interrupted()
    old = world.entry
    world.source.change(pattern(SIZE, 3))
    outcome = world.upload()
    assert world.service.calls[:2] == ["file", "abort"]
    assert old["id"] not in world.service.pending
    assert (outcome.resumed, outcome.parts_sent, outcome.upload_id != old["id"]) == (False, 4, True)
    assert world.published == world.source.content


@pytest.mark.parametrize("encryption_key", [None, OWN_KEY])
def test_changed_bytes_never_meet_the_old_key_or_header(world: World, encryption_key: bytes | None) -> None:
    world.interrupted(encryption_key=encryption_key)
    old = world.entry
    world.source.change()
    world.interrupted(encryption_key=encryption_key)
    assert not same(old, world.entry, "id", "header", "key_check")


@pytest.mark.parametrize("part", [1, 2, 4])
def test_a_source_that_changes_while_it_is_sent_publishes_nothing(world: World, part: int) -> None:
    def changing(data: bytes, number: int) -> bytes:
        if number == part:
            world.source.change(pattern(SIZE, 9))
        return data

    world.service.received = changing  # type: ignore[method-assign]
    with pytest.raises(SourceChanged):
        world.upload()
    assert world.published is None
    assert (world.service.pending, world.journal.uploads, world.journal.noted) == ({}, {}, {})
    assert part not in world.journal.ever_noted


def test_a_source_that_changes_before_the_stitching_publishes_nothing(world: World) -> None:
    computed = world.source.sha256

    def changed(step: t.Callable[[int], None]) -> str:
        digest = computed(step)
        while len(world.journal.parts(world.key)) < 4:
            step(0)
        world.source.change()
        return digest

    world.source.sha256 = changed  # type: ignore[method-assign]
    with pytest.raises(SourceChanged):
        world.upload()
    assert "stitch" not in world.service.calls
    assert (world.published, world.service.pending) == (None, {})


@pytest.mark.parametrize("size", [1000, SIZE])
def test_a_remembered_digest_that_is_wrong_publishes_nothing_and_is_not_trusted_again(size: int) -> None:
    world = World(size)
    world.journal.remember(world.source.path, world.source.identity, "0" * 64)
    with pytest.raises(SourceChanged, match=r"what arrived is not what its SHA-256 names.*nothing was published"):
        world.upload()
    assert (world.published, world.service.pending, world.journal.uploads) == (None, {}, {})
    assert world.upload().changed
    assert world.published == world.source.content


def test_an_old_upload_that_cannot_be_aborted_because_it_is_published_is_forgotten(world: World) -> None:
    stitch = world.service.stitch

    def unheard(upload_id: str, wanted: dict[str, t.Any]) -> t.NoReturn:
        stitch(upload_id, wanted)
        raise Killed

    world.service.stitch = unheard  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.upload()
    world.service.stitch = stitch  # type: ignore[method-assign]
    world.source.change(pattern(SIZE, 3))
    assert world.upload().changed
    assert world.published == world.source.content


# Other wishes than before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"encrypt": False}),
        ({"encrypt": False}, {}),
        ({}, {"encryption_key": OWN_KEY}),
        ({"encryption_key": OWN_KEY}, {}),
        ({"encryption_key": OWN_KEY}, {"encryption_key": bytes(32)}),
        ({"encryption_key": OWN_KEY}, {"encrypt": False}),
    ],
    ids=["now plain", "now sealed", "now own key", "now random key", "another own key", "own key, now plain"],
)
def test_an_upload_that_was_sealed_in_another_way_is_begun_anew(world: World, before: dict[str, t.Any], after: dict[str, t.Any]) -> None:
    world.interrupted(**before)
    old = world.entry["id"]
    outcome = world.upload(**after)
    assert (outcome.resumed, outcome.parts_sent, old in world.service.pending) == (False, 4, False)
    assert world.published == world.source.content


def test_an_entry_of_another_version_is_as_good_as_none(world: World) -> None:
    world.journal.uploads[world.key] = {"id": "1" * 32, "what": "is this"}
    assert world.upload().changed
    assert world.journal.uploads == {}


# Without the journal


def damaged(world: World) -> None:
    """The journal was damaged, set aside, and is empty."""
    world.journal.uploads.clear()
    world.journal.noted.clear()
    world.journal.warnings.append("the journal was damaged")


@pytest.mark.parametrize("options", [{"encrypt": False}, {"encryption_key": OWN_KEY}], ids=["plain", "own key"])
@pytest.mark.parametrize("lose", [damaged, lambda world: world.journal.uploads.clear()], ids=["damaged", "lost"])
def test_an_upload_whose_key_can_be_had_again_goes_on_without_the_journal(
    world: World, options: dict[str, t.Any], lose: t.Callable[[World], None]
) -> None:
    world.interrupted(2, **options)
    lose(world)
    outcome = world.upload(**options)
    assert (outcome.resumed, sorted(world.service.sent)) == (True, [3, 4])
    assert world.published == world.source.content


def test_an_upload_whose_random_key_was_damaged_is_aborted(world: World) -> None:
    world.interrupted()
    old = world.entry["id"]
    damaged(world)
    outcome = world.upload()
    assert (outcome.resumed, outcome.parts_sent, old in world.service.pending) == (False, 4, False)
    assert world.published == world.source.content


def test_an_upload_that_another_journal_may_know_is_left_alone(world: World) -> None:
    world.interrupted()
    old = world.entry["id"]
    world.journal.uploads.clear()
    world.upload()
    assert old in world.service.pending


@pytest.mark.parametrize("member", ["path", "content"])
def test_an_upload_of_another_source_is_neither_adopted_nor_aborted(world: World, member: str) -> None:
    world.interrupted(encrypt=False)
    old = world.entry["id"]
    damaged(world)
    if member == "path":
        world.source.path = "/u02/exp.dmp"
    else:
        world.source.change()
    outcome = world.upload(encrypt=False)
    assert (outcome.resumed, old in world.service.pending) == (False, True)


# Parts that arrive damaged


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize("encrypt", [True, False])
def test_a_part_whose_etag_is_not_ours_is_replaced(world: World, encrypt: bool) -> None:
    times: collections.Counter[int] = collections.Counter()

    def once(data: bytes, number: int) -> bytes:
        times[number] += 1
        return flipped(data) if number == 2 and times[number] < 3 else data

    world.service.received = once  # type: ignore[method-assign]
    world.upload(encrypt=encrypt)
    assert times == {1: 1, 2: 3, 3: 1, 4: 1}
    assert world.published == world.source.content


def test_a_part_that_always_arrives_damaged_ends_the_run(world: World) -> None:
    world.service.received = lambda data, number: flipped(data) if number == 2 else data  # type: ignore[method-assign]
    with pytest.raises(Damaged, match=r"part 2 arrived damaged"):
        world.upload()
    assert world.published is None


def test_a_part_that_conflicts_is_replaced(world: World) -> None:
    """Somebody with our token sent another one, or the service kept half of an old try."""
    world.interrupted(2)
    upload_id = world.entry["id"]

    def listed(upload: str) -> dict[str, t.Any]:
        told = told_by_service(upload)
        assert told is not None
        return {**told, "received": [[1, 1]]}

    told_by_service, world.service.upload = world.service.upload, listed  # type: ignore[method-assign]
    world.service.parts[upload_id][2] = flipped(world.service.parts[upload_id][2])
    world.upload()
    assert sorted(world.service.sent) == [2, 2, 3, 4]
    assert world.published == world.source.content


def test_parts_that_stitching_finds_damaged_are_sent_again(world: World) -> None:
    world.interrupted(3)
    parts = world.service.parts[world.entry["id"]]
    parts[1], parts[3] = flipped(parts[1]), flipped(parts[3])
    outcome = world.upload()
    assert sorted(world.service.sent) == [1, 3, 4]
    assert world.service.calls.count("stitch") == 2
    assert outcome.parts_sent == 3
    assert world.published == world.source.content


def test_parts_that_are_always_damaged_are_sent_a_few_rounds_only(world: World) -> None:
    stitch = world.service.stitch

    def on_a_bad_disk(upload_id: str, wanted: dict[str, t.Any]) -> dict[str, t.Any]:
        world.service.parts[upload_id][1] = flipped(world.service.parts[upload_id][1])
        return stitch(upload_id, wanted)

    world.service.stitch = on_a_bad_disk  # type: ignore[method-assign]
    with pytest.raises(Damaged, match=rf"could not be stitched in {_transfer.ROUNDS} tries"):
        world.upload()
    assert world.service.sent.count(1) == _transfer.ROUNDS
    assert world.published is None


def test_a_file_that_appears_meanwhile_is_left_alone_without_force_and_nothing_stays_pending(world: World) -> None:
    foreign = {"path": PATH, "size": 3, "sha256": "ab" * 32, "mode": "0640"}

    def too_late(upload_id: str, wanted: dict[str, t.Any]) -> dict[str, t.Any]:
        assert wanted["overwrite"] is False
        world.service.files[PATH] = foreign
        raise Refused("there is a file already", status=412, problem="exists")

    world.service.stitch = too_late  # type: ignore[method-assign]
    outcome = world.upload(force=False)
    assert (outcome.changed, outcome.size) == (False, 3)
    assert world.journal.entries() == {}
    assert world.service.pending == {}


def test_parts_of_an_upload_that_the_service_forgot_are_not_called_safe(world: World) -> None:
    def gone(upload_id: str, wanted: dict[str, t.Any]) -> dict[str, t.Any]:
        raise Refused("the service does not know the upload any more", status=404, by_service=True)

    world.service.stitch = gone  # type: ignore[method-assign]
    with pytest.raises(Refused, match=r"does not know the upload any more$"):
        world.upload()


DIFFERENT = [{"path": "dumps/exq.dmp"}, {"size": SIZE + 1}, {"part_size": 6 * MiB}, {"sealing": None}, {"release_key": "at_stitch"}]


@pytest.mark.parametrize("differs", DIFFERENT)
def test_an_upload_that_the_service_began_differently_is_given_up_before_a_byte_is_sent(world: World, differs: dict[str, t.Any]) -> None:
    begin = world.service.begin
    world.service.begin = lambda wanted: begin({**wanted, **differs})  # type: ignore[method-assign]
    with pytest.raises(Damaged, match="changed on the way"):
        world.upload()
    assert (world.service.sent, world.service.pending, world.journal.entries()) == ([], {}, {})


@pytest.mark.parametrize("differs", DIFFERENT)
def test_a_pending_upload_that_was_begun_differently_is_not_gone_on_with(world: World, differs: dict[str, t.Any]) -> None:
    world.interrupted()
    lost = world.entry["id"]
    world.service.pending[lost].update(differs)
    outcome = world.upload()
    assert (world.published, outcome.resumed, outcome.parts_sent) == (world.source.content, False, 4)
    assert lost not in world.service.pending


def test_a_file_that_was_published_elsewhere_is_told(small: World) -> None:
    put_file = small.service.put_file
    small.service.put_file = lambda path, headers, body: {**put_file(path, headers, body), "path": "dumps/exq.dmp"}  # type: ignore[method-assign]
    with pytest.raises(UploadError, match=r"as dumps/exq\.dmp"):
        small.upload()


def test_parts_that_stitching_finds_missing_are_sent(world: World) -> None:
    stitch = world.service.stitch

    def forgetful(upload_id: str, wanted: dict[str, t.Any]) -> dict[str, t.Any]:
        if world.service.sent.count(4) == 1:
            world.service.parts[upload_id].pop(4, None)
        return stitch(upload_id, wanted)

    world.service.stitch = forgetful  # type: ignore[method-assign]
    world.upload()
    assert world.service.sent.count(4) == 2
    assert world.published == world.source.content


# Stitching


def stitching(world: World, *states: t.Any) -> None:
    """The service takes its time: after the request it answers with ``states``, one after the other."""
    answers = iter(states)
    stitch, upload = world.service.stitch, world.service.upload

    def asked(upload_id: str, wanted: dict[str, t.Any]) -> dict[str, t.Any]:
        told = world.service.pending[upload_id]
        told["wanted"] = wanted
        world.service.calls.append("stitch")
        return {**told, "state": "stitching", "received": [[1, 4]]}

    def looked_at(upload_id: str) -> dict[str, t.Any] | None:
        told = world.service.pending.get(upload_id)
        if told is None or "wanted" not in told:
            return upload(upload_id)
        state = next(answers, "published")
        if state is Killed:
            raise Killed
        if state == "published":
            return stitch(upload_id, told["wanted"])
        return state if state is None else {**told, "state": "stitching", "received": [[1, 4]], **state}

    world.service.stitch = asked  # type: ignore[method-assign]
    world.service.upload = looked_at  # type: ignore[assignment, method-assign]


def test_the_client_looks_until_the_stitching_is_done_at_growing_intervals(world: World) -> None:
    stitching(world, *[{}] * 20)
    world.upload()
    assert world.published == world.source.content
    assert len(world.run.waits) == 21
    assert world.run.waits == sorted(world.run.waits)
    assert (world.run.waits[0], world.run.waits[-1]) == (_transfer.POLL_FIRST, _transfer.POLL_MOST)


def test_a_service_that_forgot_that_it_was_asked_is_asked_again(world: World) -> None:
    """It was restarted in the middle: all parts are there, no problem is told."""
    stitching(world, {}, {"state": "receiving", "problem": None}, {})
    world.upload()
    assert world.service.calls.count("stitch") == 3  # twice asked, once done by the double
    assert world.published == world.source.content
    assert len(world.service.sent) == 4


def test_a_problem_that_may_pass_is_tried_again(world: World) -> None:
    stitching(world, {"state": "receiving", "problem": {"type": "x:internal", "retryable": True}})
    world.upload()
    assert world.published == world.source.content


@pytest.mark.parametrize("name", ["disk-full", "exists", "key-refused"])
def test_a_lasting_problem_of_the_stitching_is_told_in_its_words(world: World, name: str) -> None:
    problem = {"type": f"tag:bigfile.oci,2026:{name}", "detail": f"about {name}", "status": 507, "retryable": False}
    stitching(world, {"state": "receiving", "problem": problem})
    with pytest.raises(Refused, match=rf"^stitching failed: about {name}\. 4 of 4 parts are safe on the server") as caught:
        world.upload()
    assert (caught.value.problem, caught.value.status) == (name, 507)
    assert world.journal.uploads


def test_a_digest_that_does_not_fit_is_a_source_that_changed(world: World) -> None:
    stitching(world, {"state": "receiving", "problem": {"type": "x:digest-mismatch", "retryable": False}})
    with pytest.raises(SourceChanged, match=r"nothing was published"):
        world.upload()
    assert (world.published, world.service.pending, world.journal.uploads) == (None, {}, {})


def test_an_upload_that_vanishes_while_it_is_stitched_is_told(world: World) -> None:
    stitching(world, {}, None)
    with pytest.raises(Refused, match=r"aborted or has expired; run again to begin anew"):
        world.upload()


def test_an_upload_that_is_stitched_already_is_waited_for(world: World) -> None:
    """The run before was killed while it waited."""
    stitching(world, Killed, {})
    with pytest.raises(Killed):
        world.upload()
    outcome = world.upload()
    assert (outcome.resumed, outcome.parts_sent, outcome.parts_present) == (True, 0, 4)
    assert world.published == world.source.content


@pytest.mark.parametrize("receipt", [{"size": 1}, {"sha256": "0" * 64}])
@pytest.mark.parametrize("size", [1000, SIZE])
def test_a_receipt_that_disagrees_is_an_error(size: int, receipt: dict[str, t.Any]) -> None:
    world = World(size)
    place = world.service.place
    world.service.place = lambda *some, **more: {**place(*some, **more), **receipt}  # type: ignore[method-assign]
    with pytest.raises(UploadError, match=r"the service published \d+ bytes with SHA-256 \w+ as dumps/exp.dmp, the source has"):
        world.upload()


# Failures on the way


def test_a_failure_that_may_pass_is_tried_again(world: World) -> None:
    times: collections.Counter[int] = collections.Counter()

    def flaky(data: bytes, number: int) -> bytes:
        times[number] += 1
        if times[number] < 3:
            raise Unreachable("a connection broke")
        return data

    world.service.received = flaky  # type: ignore[method-assign]
    world.upload()
    assert set(times.values()) == {3}
    assert world.published == world.source.content


def test_one_fatal_failure_stops_all_threads(world: World) -> None:
    both = threading.Barrier(2)
    seen: list[str] = []

    def failing(data: bytes, number: int) -> bytes:
        both.wait(20)
        if number == 1:
            raise Refused("no", status=403)
        while True:
            try:
                world.run.check()
            except UploadError as error:
                seen.append(type(error).__name__)
                raise

    world.service.received = failing  # type: ignore[method-assign]
    with pytest.raises(Refused, match=r"^no$"):
        world.upload()
    assert seen == ["Interrupted"]
    assert world.service.sent == []


def test_a_service_that_cannot_open_our_stream_is_told_before_anything_is_sent(world: World) -> None:
    world.service.sealing = ["ROT13"]
    with pytest.raises(Untrusted, match=r"does not open streams of AES256_GCM_HKDF_1MB"):
        world.upload()
    assert (world.service.pending, world.service.sent) == ({}, [])
    assert world.upload(encrypt=False).changed


# Check mode


def reading(calls: list[str]) -> bool:
    return set(calls) <= {"file", "uploads", "upload", "server"}


@pytest.mark.parametrize("size", [0, 1000, SIZE])
def test_check_mode_tells_what_a_new_upload_would_send(size: int) -> None:
    world = World(size)
    foreseen = world.upload(check_mode=True)
    assert reading(world.service.calls)
    assert (world.published, world.journal.digests, world.source.reads) == (None, {}, 0)
    done = world.upload()
    for name in ("changed", "path", "size", "encrypted", "resumed", "part_size", "parts", "parts_sent", "bytes_sent"):
        assert getattr(foreseen, name) == getattr(done, name), name


def test_check_mode_tells_what_a_resumed_upload_would_send(world: World) -> None:
    world.interrupted(1)
    before = (dict(world.journal.uploads), world.journal.parts(world.key))
    world.source.reads = 0
    outcome = world.upload(check_mode=True)
    assert (outcome.changed, outcome.resumed, outcome.parts_sent, outcome.parts_present) == (True, True, 3, 1)
    assert outcome.before == "absent\n1 of 4 parts, 5.0 MiB\n"
    assert (reading(world.service.calls), world.source.reads) == (True, 0)
    assert (world.journal.uploads, world.journal.parts(world.key)) == before


def test_check_mode_of_a_finished_upload_tells_that_nothing_is_to_do(world: World) -> None:
    world.upload()
    assert not world.upload(check_mode=True).changed
    assert world.service.calls == ["file"]


def test_check_mode_changes_no_mode(small: World) -> None:
    small.upload(mode="0640")
    outcome = small.upload(mode="0600", check_mode=True)
    assert (outcome.changed, small.service.files[PATH]["mode"]) == (True, "0640")
    assert ("mode: 0640" in outcome.before, "mode: 0600" in outcome.after) == (True, True)


@pytest.mark.parametrize("change", [lambda world: world.source.change(), damaged], ids=["source changed", "journal damaged"])
def test_check_mode_aborts_nothing(world: World, change: t.Callable[[World], None]) -> None:
    world.interrupted()
    change(world)
    outcome = world.upload(check_mode=True)
    assert (outcome.resumed, outcome.parts_sent, len(world.service.pending)) == (False, 4, 1)
    assert reading(world.service.calls)


def test_check_mode_of_an_upload_that_the_service_forgot_tells_of_a_new_one(world: World) -> None:
    world.interrupted()
    world.service.pending.clear()
    outcome = world.upload(check_mode=True)
    assert (outcome.resumed, outcome.parts_sent, outcome.upload_id) == (False, 4, None)


# The diff


def test_the_diff_shows_what_was_there_and_what_is(small: World) -> None:
    small.service.place(PATH, b"other")
    outcome = small.upload()
    assert outcome.before.splitlines() == ["size: 5", f"sha256: {hashlib.sha256(b'other').hexdigest()}", "mode: 0640"]
    assert outcome.after.splitlines() == ["size: 1000", f"sha256: {outcome.sha256}", "mode: 0640"]


def test_the_diff_of_nothing_shows_no_difference(small: World) -> None:
    small.upload()
    outcome = small.upload()
    assert outcome.before == outcome.after


# Absent


def gone(world: World, *, check_mode: bool = False) -> Outcome:
    world.service.calls.clear()
    return absent(
        PATH,
        service=world.service,  # type: ignore[arg-type]
        journal=world.journal,  # type: ignore[arg-type]
        check_mode=check_mode,
    )


def test_absent_deletes_the_file_and_what_is_pending(world: World) -> None:
    world.service.place(PATH, b"old")
    world.interrupted()
    outcome = gone(world)
    assert (outcome.changed, world.service.files, world.service.pending, world.journal.uploads) == (True, {}, {}, {})
    assert "pending upload" in outcome.before
    assert outcome.after == "absent\n"


def test_absent_leaves_other_destinations_and_services_alone(world: World) -> None:
    world.interrupted()
    other = {**world.entry, "id": "2" * 32, "path": "dumps/other.dmp"}
    elsewhere = {**world.entry, "endpoint": "https://other.example"}
    world.journal.uploads.update({"other": other, "elsewhere": elsewhere})
    world.service.pending["2" * 32] = {**world.service.pending[world.entry["id"]], "path": "dumps/other.dmp"}
    world.service.parts["2" * 32] = {}
    gone(world)
    assert set(world.journal.uploads) == {"other", "elsewhere"}
    assert set(world.service.pending) == {"2" * 32}


def test_absent_of_nothing_changes_nothing(world: World) -> None:
    assert not gone(world).changed
    assert set(world.service.calls) == {"file", "uploads"}


def test_absent_in_check_mode_tells_and_deletes_nothing(world: World) -> None:
    world.service.place(PATH, b"old")
    world.interrupted()
    assert gone(world, check_mode=True).changed
    assert set(world.service.calls) == {"file", "uploads"}
    assert (len(world.service.files), len(world.service.pending), len(world.journal.uploads)) == (1, 1, 1)
