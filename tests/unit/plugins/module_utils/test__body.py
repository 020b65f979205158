# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils._body import PIECE, PartBody
from ansible_collections.bigfile.oci.plugins.module_utils._errors import Interrupted
from ansible_collections.bigfile.oci.plugins.module_utils._plan import Plan
from ansible_collections.bigfile.oci.plugins.module_utils._sealed.cipher import PartDigest, PlainStream, SealedStream, Stream, new_header
from ansible_collections.bigfile.oci.tests.unit.plugins.module_utils.doubles import MemorySource, gathered, pattern

MiB = 1 << 20
FIRST = MiB - 56
SIZES = [0, 1, FIRST - 1, FIRST, FIRST + 1, MiB - 1, MiB, MiB + 1, 2 * MiB, 3 * MiB]
STREAMS = [PlainStream(), SealedStream(bytes(range(32)), new_header(), b"dumps/exp.dmp")]


def body(stream: Stream, source: MemorySource, number: int = 1, **others: t.Any) -> PartBody:
    plan = Plan(source.size, 2 * MiB, stream.layout.tag > 0)
    return PartBody(plan.part(number), stream=stream, reader=source, **{"step": lambda _: None, **others})


@pytest.mark.parametrize("stream", STREAMS, ids=["plain", "sealed"])
@pytest.mark.parametrize("size", SIZES)
def test_a_body_is_as_long_as_it_says(stream: Stream, size: int) -> None:
    made = body(stream, MemorySource(pattern(size)))
    assert len(gathered(made)) == len(made)


@pytest.mark.parametrize("size", SIZES)
def test_the_bodies_of_all_parts_open_to_the_file(size: int) -> None:
    stream, source = STREAMS[1], MemorySource(pattern(size))
    plan = Plan(size, 2 * MiB, True)
    opened = b""
    for number in range(1, plan.part_count + 1):
        wire = gathered(body(stream, source, number))
        for index, (segment, _size, last) in enumerate(plan.part(number).segment_sizes(plan.layout)):
            opened += bytes(stream.open(segment, wire[index * MiB : (index + 1) * MiB], last=last))
    assert opened == source.content


@pytest.mark.parametrize("stream", STREAMS, ids=["plain", "sealed"])
def test_a_body_can_be_sent_again_and_is_the_same(stream: Stream) -> None:
    made = body(stream, MemorySource(pattern(2 * MiB)))
    first = gathered(made)
    etag = made.etag()
    assert (gathered(made), made.etag()) == (first, etag)


@pytest.mark.parametrize("stream", STREAMS, ids=["plain", "sealed"])
@pytest.mark.parametrize("size", SIZES)
def test_the_etag_is_that_of_what_went_out(stream: Stream, size: int) -> None:
    made = body(stream, MemorySource(pattern(size)))
    wire, digest = gathered(made), PartDigest(stream.layout)
    for start in range(0, max(1, len(wire)), MiB):
        digest.add(wire[start : start + MiB])
    assert made.etag() == digest.etag()


def test_the_etag_of_a_body_that_broke_off_is_not_that_of_the_whole() -> None:
    made = body(STREAMS[0], MemorySource(pattern(2 * MiB)))
    gathered(made)
    whole = made.etag()
    next(iter(made))
    assert made.etag() != whole


@pytest.mark.parametrize("stream", STREAMS, ids=["plain", "sealed"])
def test_each_piece_is_announced_before_it_goes(stream: Stream) -> None:
    told: list[int] = []
    made = body(stream, MemorySource(pattern(3 * MiB)), step=told.append)
    for piece in made:
        assert told[-1] == len(piece)
    assert sum(told) == len(made)


def test_pieces_are_whole_segments_while_they_leave_fast_and_small_while_they_do_not() -> None:
    now, seconds = [0.0], iter([0.1, 0.1, 5.0, 5.0, 0.1])
    sizes = []
    for piece in body(STREAMS[0], MemorySource(pattern(3 * MiB)), clock=lambda: now[0]):
        sizes.append(len(piece))
        now[0] += next(seconds, 0.1)
    assert sizes == [PIECE, MiB - PIECE, MiB]  # of the first part, which has two segments
    sizes.clear()
    for piece in body(STREAMS[0], MemorySource(pattern(2 * MiB)), clock=lambda: now[0]):
        sizes.append(len(piece))
        now[0] += 5
    assert sizes == [PIECE] * 8


def test_a_step_may_end_the_body() -> None:
    def ended(unused: int) -> t.NoReturn:
        raise Interrupted("the run was ended")

    with pytest.raises(Interrupted):
        gathered(body(STREAMS[0], MemorySource(pattern(1)), step=ended))


def test_no_more_than_one_segment_is_read_ahead() -> None:
    class Counting(MemorySource):
        given = 0

        def read(self, offset: int, sizes: t.Iterable[int]) -> t.Iterator[bytes]:
            for block in super().read(offset, sizes):
                self.given += len(block)
                yield block

    source = Counting(pattern(3 * MiB))
    pieces = iter(body(STREAMS[0], source))
    sent = 0
    for piece in pieces:
        sent += len(piece)
        assert source.given <= sent + MiB
