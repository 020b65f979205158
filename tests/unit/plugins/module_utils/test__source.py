# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import functools
import hashlib
import io
import os
import socket
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils import _source
from ansible_collections.bigfile.oci.plugins.module_utils._errors import Interrupted, SourceChanged, SourceError
from ansible_collections.bigfile.oci.plugins.module_utils._source import Source

MiB = 1 << 20


def content(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def made(path: Path, size: int) -> Path:
    path.write_bytes(content(size))
    return path


def blocks_of(source: Source, offset: int, sizes: list[int]) -> list[bytes]:
    """What is read, block by block; each is good only until the next."""
    return [bytes(block) for block in source.read(offset, sizes)]


def nothing() -> None:
    """A step that neither waits nor raises."""


# What a source is


def test_a_source_knows_its_file_by_device_inode_size_and_times(tmp_path: Path) -> None:
    path = made(tmp_path / "dump", 7)
    found = path.stat()
    assert Source(str(path)).identity == (
        found.st_dev,
        found.st_ino,
        7,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


def test_two_looks_at_an_unchanged_file_agree(tmp_path: Path) -> None:
    path = made(tmp_path / "dump", 7)
    first = Source(str(path))
    first.check()
    assert Source(str(path)).identity == first.identity


def test_a_link_leads_to_its_file(tmp_path: Path) -> None:
    path = made(tmp_path / "dump", 7)
    (tmp_path / "link").symlink_to(path)
    source = Source(str(tmp_path / "link"))
    assert (source.path, source.identity) == (os.path.realpath(path), Source(str(path)).identity)


@pytest.mark.parametrize("name", ["a b", "Grüße.dmp", "\U0001f418", "-rf", "100%", "a?b#c", "x" * 255, os.fsdecode(b"\xff")])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    path = made(tmp_path / name, 7)
    assert blocks_of(Source(str(path)), 0, [7]) == [content(7)]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"the source .*/dump does not exist on this host"):
        Source(str(tmp_path / "dump"))


def test_a_link_to_nothing_is_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "dump")
    with pytest.raises(SourceError, match=r"the source .*/link does not exist on this host"):
        Source(str(tmp_path / "link"))


def test_a_file_below_a_file_is_told(tmp_path: Path) -> None:
    made(tmp_path / "dump", 1)
    with pytest.raises(SourceError, match=r"cannot be looked at: Not a directory"):
        Source(str(tmp_path / "dump" / "inside"))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is a folder; give one file, or loop over its files"):
        Source(str(tmp_path))


def fifo(path: str) -> None:
    os.mkfifo(path)


def unix_socket(path: str) -> None:
    socket.socket(socket.AF_UNIX).bind(path)


def device(path: str) -> None:
    os.symlink("/dev/zero", path)


@pytest.mark.parametrize("make", [fifo, unix_socket, device])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_is_not_a_regular_file_is_refused_without_opening_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: t.Callable[[str], None]
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    make("special")
    with pytest.raises(SourceError, match=r"the source special is not a regular file"):
        Source("special")


def test_an_unreadable_file_is_told_before_anything_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To root every file is readable, so the system's answer is given by the test."""
    monkeypatch.setattr(os, "access", lambda unused_path, mode: mode != os.R_OK)
    with pytest.raises(SourceError, match=r"cannot be read by this user; give it read permission, or use become"):
        Source(str(made(tmp_path / "dump", 1)))


def test_an_error_of_the_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class BrokenDisk:
        def __init__(self, *unused: object, **unused_too: object) -> None:
            raise OSError(5, "Input/output error")

    source = Source(str(made(tmp_path / "dump", 1)))
    monkeypatch.setattr(_source, "FileChunkIO", BrokenDisk)
    with pytest.raises(SourceError, match=r"the source .*/dump cannot be read: Input/output error"):
        list(source.read(0, [1]))


# What it reads


@pytest.mark.parametrize(
    ("size", "offset", "sizes"),
    [
        (0, 0, []),
        (0, 0, [0]),
        (1, 0, [1]),
        (1, 1, []),
        (10, 0, [10]),
        (10, 3, [1, 0, 2]),
        (10, 9, [1]),
        (10, 0, [1] * 10),
        (3 * MiB + 1, MiB - 1, [MiB, 1, MiB, 1]),
    ],
)
def test_exactly_the_bytes_asked_for_are_read(tmp_path: Path, size: int, offset: int, sizes: list[int]) -> None:
    blocks = blocks_of(Source(str(made(tmp_path / "dump", size))), offset, sizes)
    assert [len(block) for block in blocks] == sizes
    assert b"".join(blocks) == content(size)[offset : offset + sum(sizes)]


def test_many_readers_have_a_place_each(tmp_path: Path) -> None:
    source = Source(str(made(tmp_path / "dump", 100)))
    pairs = zip(source.read(0, [10] * 5), source.read(50, [10] * 5), strict=True)
    assert [bytes(first) + bytes(second) for first, second in pairs] == [
        content(100)[at : at + 10] + content(100)[50 + at : 60 + at] for at in range(0, 50, 10)
    ]


def test_a_system_that_reads_in_small_pieces_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dribbling:
        class FileIO:
            @staticmethod
            def readinto(chunk: io.FileIO, block: memoryview) -> int:
                return io.FileIO.readinto(chunk, block[:3])

    source = Source(str(made(tmp_path / "dump", 10)))
    monkeypatch.setattr(_source, "io", Dribbling)
    assert blocks_of(source, 1, [8, 1]) == [content(10)[1:9], content(10)[9:]]


def test_the_file_is_closed_when_its_reader_is_dropped(tmp_path: Path) -> None:
    source = Source(str(made(tmp_path / "dump", 100)))
    before = len(os.listdir("/proc/self/fd"))
    blocks = source.read(0, [10] * 10)
    next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) == before


# A file that changes


def shortened(path: Path) -> None:
    os.truncate(path, 2 * MiB)


def lengthened(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def rewritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"X")


def replaced(path: Path) -> None:
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"X" * before.st_size)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def touched(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def rewritten_and_dated_back(path: Path) -> None:
    before = path.stat()
    rewritten(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def removed(path: Path) -> None:
    path.unlink()


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES = [
    shortened,
    lengthened,
    rewritten,
    replaced,
    touched,
    rewritten_and_dated_back,
    removed,
    made_a_folder,
]
"""What may happen to a file. Its times are in ticks of the kernel, so that it is aged first."""


@pytest.fixture
def aged(tmp_path: Path) -> Path:
    """A file of 4 MiB whose change time has a tick of the kernel behind it."""
    path = made(tmp_path / "dump", 4 * MiB)
    before = path.stat().st_ctime_ns
    probe = tmp_path / "tick"
    while not probe.exists() or probe.stat().st_ctime_ns <= before:
        probe.write_bytes(b"")
    return path


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_is_noticed(aged: Path, change: t.Callable[[Path], None]) -> None:
    source = Source(str(aged))
    change(aged)
    with pytest.raises(SourceChanged, match=r"nothing was published"):
        source.check()


@pytest.mark.parametrize("change", CHANGES)
def test_no_byte_of_a_changed_file_is_handed_out(aged: Path, change: t.Callable[[Path], None]) -> None:
    source = Source(str(aged))
    blocks = source.read(0, [MiB] * 4)
    assert next(blocks) == content(MiB)
    change(aged)
    with pytest.raises(SourceError):
        next(blocks)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_has_no_digest(aged: Path, change: t.Callable[[Path], None]) -> None:
    source = Source(str(aged))
    steps = iter([nothing, functools.partial(change, aged), nothing, nothing])

    def step(unused: int) -> None:
        next(steps)()

    with pytest.raises(SourceError):
        source.sha256(step)


@pytest.mark.parametrize("size", [0, 1, MiB])
def test_a_file_that_changes_after_its_last_byte_was_read_has_no_digest(tmp_path: Path, size: int) -> None:
    path = made(tmp_path / "dump", size)
    source = Source(str(path))
    if size == 0:
        touched(path)
    with pytest.raises(SourceChanged):
        source.sha256(lambda done: touched(path))


def test_a_file_that_shrinks_is_said_to_have_become_shorter(aged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(str(aged))
    monkeypatch.setattr(source, "check", nothing)
    blocks = source.read(0, [MiB] * 4)
    next(blocks)
    os.truncate(aged, MiB + 1)
    with pytest.raises(SourceChanged, match=r"became shorter while it was read; nothing was published"):
        next(blocks)


# Its digest


@pytest.mark.parametrize("size", [0, 1, MiB - 1, MiB, MiB + 1, 2 * MiB])
def test_the_digest_is_the_sha256_of_all_bytes(tmp_path: Path, size: int) -> None:
    source = Source(str(made(tmp_path / "dump", size)))
    steps: list[int] = []
    assert source.sha256(steps.append) == hashlib.sha256(content(size)).hexdigest()
    assert steps == list(range(0, size, MiB))


def test_a_step_may_end_the_digest(tmp_path: Path) -> None:
    def ended(done: int) -> t.NoReturn:
        raise Interrupted("the run was ended")

    with pytest.raises(Interrupted):
        Source(str(made(tmp_path / "dump", 1))).sha256(ended)
