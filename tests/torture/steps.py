"""The steps at which client and service are killed: each has a name, a place in the code, and the kind of upload that passes it."""

from __future__ import annotations

import typing as t

MiB = 1 << 20
CLIENT = "ansible_collections.bigfile.oci.plugins.module_utils"
OPTIONS: dict[str, t.Any] = {"dest": "dumps/exp.bin", "part_size": "5M", "threads": 2, "timeout": 10, "retries": 20}
"""Of every upload here."""
SEALED: dict[str, t.Any] = {}
LATE = {"release_key": "at_stitch"}
PLAIN = {"encrypt": False}


class Step(t.NamedTuple):
    """``crash`` is as launch.py wants it; ``always``: also in the short form."""

    name: str
    crash: str
    options: dict[str, t.Any] = SEALED
    size: int = 18 * MiB
    always: bool = False

    def __str__(self) -> str:
        return self.name


def _service(name: str, place: str, *more: t.Any, **facts: t.Any) -> Step:
    return Step(name, f"oracle_assembler.{place}", *more, **facts)


def _client(name: str, place: str, *more: t.Any, **facts: t.Any) -> Step:
    return Step(name, f"{CLIENT}.{place}", *more, **facts)


SERVICE = [
    _service("begin: before the record", "store.records:Records.save before 1"),
    _service("begin: between record and folders", "store.records:Records.save after 1", always=True),
    _service("begin: between folders and answer", "store.workspace:Workspace.prepare after 1"),
    _service("part: in its middle", "store.opening:open_into after 8"),
    _service("part: in its middle, sealed", "store.opening:keep_into after 8", LATE),
    _service("part: between bytes and proof", "store.opening:note before 2", always=True),
    _service("part: between proof and acknowledgement", "store.opening:note after 2", always=True),
    _service("part: between proof and acknowledgement, plain", "store.opening:note after 2", PLAIN),
    _service("part: the last one, unacknowledged", "store.opening:note after 4"),
    _service("stitching: asked for", "store.opening:open_sealed_part before 1", LATE),
    _service("stitching: in the middle of a part", "store.opening:_open_where_it_stands after 7", LATE, always=True),
    _service("stitching: between two parts", "store.opening:open_sealed_part after 2", LATE),
    _service("stitching: all opened", "store.opening:open_sealed_part after 4", LATE),
    _service("stitching: while the digest is taken", "store.publishing:WholeDigest.advance after 1"),
    _service("stitching: before the bytes are durable", "store.publishing:make_durable before 1"),
    _service("stitching: between durable and intent", "store.publishing:make_durable after 1"),
    _service("publishing: between intent and rename", "store.records:Records.save after 2", always=True),
    _service("publishing: between rename and record", "store.publishing:publish after 1", always=True),
    _service("publishing: between rename and digest", "store.digests:Digests.note before 1", PLAIN),
    _service("publishing: before the record says so", "store.records:Records.save before 3", LATE),
    _service("publishing: between record and cleaning up", "store.records:Records.save after 3"),
    _service("publishing: between cleaning up and answer", "store.workspace:Workspace.remove after 1", always=True),
    _service("small file: in its middle", "store.sinks:Whole.take after 2", size=3 * MiB),
    _service("small file: before the rename", "store.publishing:publish before 1", size=3 * MiB),
    _service("small file: between rename and answer", "store.publishing:publish after 1", size=3 * MiB, always=True),
    _service("small file: between cleaning up and answer", "store.records:Records.delete after 1", size=3 * MiB),
]

ENDING = [
    _service("expiry: between intent and removal", "store.records:Records.save after 2", always=True),
    _service("expiry: in the middle of removal", "store.workspace:unlink_if_there after 1"),
    _service("expiry: between removal and forgetting", "store.workspace:Workspace.remove after 1"),
    _service("expiry: forgotten", "store.records:Records.delete after 1"),
]

CLIENTS = [
    _client("before the journal knows", "_journal:Journal.begin before 1"),
    _client("between journal and begin", "_journal:Journal.begin after 1", always=True),
    _client("between begin and the first part", "_file_upload:FileUpload.begin after 1"),
    _client("before a part is sent", "_file_upload:FileUpload.put_part before 2"),
    _client("in the middle of a part", "_body:PartBody.etag before 2"),
    _client("between acknowledgement and journal", "_file_upload:FileUpload.put_part after 2", always=True),
    _client("before a note", "_journal:Journal.note before 2", PLAIN),
    _client("while the journal is written", "_journal:Journal._set before 2", always=True),
    _client("after the journal was written", "_journal:Journal._set after 2"),
    _client("before stitch", "_file_upload:FileUpload.stitch before 1", LATE),
    _client("between stitch and its answer", "_file_upload:FileUpload.stitch after 1"),
    _client("between receipt and forgetting", "_journal:Journal.forget before 2", always=True),
    _client("in the middle of forgetting", "_journal:Journal._remove after 3"),
    _client("forgotten", "_journal:Journal.forget after 2"),
    _client("small file: before its answer", "_file_upload:FileUpload.put_file before 1", size=3 * MiB),
    _client("small file: after its answer", "_file_upload:FileUpload.put_file after 1", size=3 * MiB),
]

CALLS = ("os:rename", "os:fsync", "os:unlink", "os:mkdir", "os:rmdir", "os:pwrite", "os:fchmod")
"""Every call by which the service changes its disk."""
