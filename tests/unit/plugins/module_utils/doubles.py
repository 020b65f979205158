# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The source, the journal and the service, in memory. The service opens what it gets, as the real one does."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import threading
import typing as t

from ansible_collections.bigfile.oci.plugins.module_utils._errors import Refused, SourceChanged
from ansible_collections.bigfile.oci.plugins.module_utils._pace import Run
from ansible_collections.bigfile.oci.plugins.module_utils._plan import Plan, as_ranges, bytes_in, missing
from ansible_collections.bigfile.oci.plugins.module_utils._retry import Policy, persist
from ansible_collections.bigfile.oci.plugins.module_utils._sealed.cipher import (
    SCHEME,
    DamagedSegment,
    PartDigest,
    PlainStream,
    SealedStream,
    Stream,
    new_private_key,
    public_key_of,
    unwrap_key,
)
from ansible_collections.bigfile.oci.plugins.module_utils._sealed.layout import PLAIN, SEALED, SEGMENT_SIZE
from ansible_collections.bigfile.oci.plugins.module_utils._source import Identity

MiB = 1 << 20


def pattern(size: int, seed: int = 0) -> bytes:
    line = bytes((seed + value) % 251 for value in range(251))
    return (line * (size // 251 + 1))[:size]


def patiently(action: t.Callable[[], t.Any], *, retries: int = 10) -> t.Any:
    """Tries again as the real one does, and waits for nothing."""
    return persist(action, policy=Policy(retries), wait=lambda _: None, random=lambda: 0.0, noted=lambda _: None)


class QuickRun(Run):
    """A run whose waits are noted, not slept."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.check()


class MemorySource:
    """A file; ``reads`` counts how often it was opened, ``change`` gives it other bytes."""

    def __init__(self, content: bytes, path: str = "/u01/exp.dmp") -> None:
        self.path = path
        self.content = content
        self.version = self.seen = 1
        self.reads = 0

    @property
    def identity(self) -> Identity:
        return Identity(1, 2, self.size, self.seen, self.seen)

    @property
    def size(self) -> int:
        return len(self.content)

    def change(self, content: bytes | None = None) -> None:
        self.version += 1
        self.content = self.content if content is None else content

    def look_again(self) -> None:
        """What a new run does."""
        self.seen = self.version

    def check(self) -> None:
        if self.seen != self.version:
            raise SourceChanged("the source changed while it was read")

    def read(self, offset: int, sizes: t.Iterable[int]) -> t.Iterator[bytes]:
        self.reads += 1
        for size in sizes:
            self.check()
            yield self.content[offset : offset + size]
            offset += size

    def sha256(self, step: t.Callable[[int], None]) -> str:
        self.reads += 1
        step(0)
        self.check()
        return hashlib.sha256(self.content).hexdigest()


class MemoryJournal:
    """What a run writes down; ``read_only`` refuses to."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.read_only = False
        self.uploads: dict[str, dict[str, t.Any]] = {}
        self.noted: dict[str, list[int]] = {}
        self.digests: dict[str, tuple[t.Any, str]] = {}
        self.claimed: list[str] = []
        self.ever_noted: list[int] = []

    @contextlib.contextmanager
    def claim(self, key: str) -> t.Iterator[None]:
        self.claimed.append(key)
        yield
        self.claimed.remove(key)

    def entry(self, key: str) -> dict[str, t.Any] | None:
        return self.uploads.get(key)

    def entries(self) -> dict[str, dict[str, t.Any]]:
        return dict(self.uploads)

    def begin(self, key: str, entry: dict[str, t.Any]) -> None:
        assert not self.read_only
        self.uploads[key] = entry

    def note(self, key: str, number: int) -> None:
        assert not self.read_only
        self.noted.setdefault(key, []).append(number)
        self.ever_noted.append(number)

    def parts(self, key: str) -> list[int]:
        return sorted(self.noted.get(key, []))

    def forget(self, key: str) -> None:
        assert not self.read_only
        self.uploads.pop(key, None)
        self.noted.pop(key, None)

    def digest(self, path: str, identity: t.Sequence[int]) -> str | None:
        known = self.digests.get(path)
        return known[1] if known and known[0] == identity else None

    def remember(self, path: str, identity: t.Sequence[int], sha256: str) -> None:
        if not self.read_only:
            self.digests[path] = (identity, sha256)

    def forget_digest(self, path: str) -> None:
        if not self.read_only:
            self.digests.pop(path, None)


class MemoryService:
    """Receives, opens, stitches and publishes; ``calls`` is what was asked of it, ``sent`` which parts came."""

    base = "https://host.example:8443"

    def __init__(self) -> None:
        self.private_key = new_private_key()
        self.sealing = [SCHEME]
        self.calls: list[str] = []
        self.sent: list[int] = []
        self.files: dict[str, dict[str, t.Any]] = {}
        self.contents: dict[str, bytes] = {}
        self.pending: dict[str, dict[str, t.Any]] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.headers: dict[str, str] = {}
        self.wanted: dict[str, t.Any] = {}
        self.lock = threading.Lock()

    def server(self) -> dict[str, t.Any]:
        self.calls.append("server")
        return {"sealing": self.sealing, "public_key": base64.b64encode(public_key_of(self.private_key)).decode()}

    # Files

    def file(self, path: str) -> dict[str, t.Any] | None:
        self.calls.append("file")
        return dict(self.files[path]) if path in self.files else None

    def place(self, path: str, content: bytes, *, mode: str = "0640", sha256: str | None = "") -> dict[str, t.Any]:
        """Publish, as if by somebody else."""
        known = hashlib.sha256(content).hexdigest() if sha256 == "" else sha256
        self.contents[path] = content
        self.files[path] = {"path": path, "size": len(content), "sha256": known, "mode": mode}
        return dict(self.files[path])

    def put_file(self, path: str, headers: dict[str, str], body: t.Callable[[], t.Any]) -> dict[str, t.Any]:
        self.calls.append("put_file")
        self.headers = headers
        size = int(headers["Upload-Size"])
        upload = {"id": headers["Upload-Id"], "path": path, "size": size, "sealing": None}
        sealed, key = gathered(body()), headers.get("Upload-Key")
        if headers["Upload-Sealing"] == SCHEME:
            upload["sealing"] = {"header": base64.b64encode(sealed[:40])}
        plan = Plan(size, 1 + len(sealed) // SEGMENT_SIZE << 20, key is not None)
        opened = self._opened(upload, plan, 1, sealed, key)
        digest = base64.b64encode(hashlib.sha256(opened).digest()).decode()
        if headers["Repr-Digest"] != f"sha-256=:{digest}:":
            raise Refused("other bytes", status=422, problem="digest-mismatch")
        return {"upload_id": upload["id"], **self.place(path, opened, mode=headers.get("Upload-Mode", "0640"))}

    def set_mode(self, path: str, mode: str) -> None:
        self.calls.append("set_mode")
        self.files[path]["mode"] = mode

    def delete_file(self, path: str) -> bool:
        self.calls.append("delete_file")
        return self.files.pop(path, None) is not None

    # Uploads

    def begin(self, wanted: dict[str, t.Any]) -> dict[str, t.Any]:
        self.calls.append("begin")
        self.pending[wanted["id"]] = {**wanted, "state": "receiving", "problem": None, "receipt": None, "expires": "2026"}
        self.parts[wanted["id"]] = {}
        return self._told(wanted["id"])

    def uploads(self, path: str | None = None) -> list[dict[str, t.Any]]:
        self.calls.append("uploads")
        return [self._told(known) for known, upload in self.pending.items() if path in (None, upload["path"])]

    def upload(self, upload_id: str) -> dict[str, t.Any] | None:
        self.calls.append("upload")
        return self._told(upload_id) if upload_id in self.pending else None

    def _told(self, upload_id: str) -> dict[str, t.Any]:
        upload = self.pending[upload_id]
        received = as_ranges(self.parts[upload_id])
        return {**upload, "received": received, "bytes_received": bytes_in(self.plan(upload_id), received)}

    def plan(self, upload_id: str) -> Plan:
        upload = self.pending[upload_id]
        return Plan(upload["size"], upload["part_size"], upload["sealing"] is not None)

    def put_part(self, upload_id: str, number: int, body: t.Any, *, key: str | None, replaces: str | None) -> str:
        data = self.received(gathered(body), number)
        with self.lock:
            self.calls.append("put_part")
            self.sent.append(number)
            there = self.parts[upload_id].get(number)
            if there is not None and there != data and replaces != self._etag(upload_id, number):
                raise Refused("other", status=409, problem="part-conflict", members={"etag": self._etag(upload_id, number)})
            self.parts[upload_id][number] = data
            self.pending[upload_id]["key"] = key
            return self._etag(upload_id, number)

    def received(self, data: bytes, number: int) -> bytes:
        """What arrives of a part; tests damage it here."""
        return data

    def _etag(self, upload_id: str, number: int) -> str:
        plan, data = self.plan(upload_id), self.parts[upload_id][number]
        digest = PartDigest(plan.layout)
        for start in range(0, max(1, len(data)), SEGMENT_SIZE):
            digest.add(data[start : start + SEGMENT_SIZE])
        return digest.etag()

    def stitch(self, upload_id: str, wanted: dict[str, t.Any]) -> dict[str, t.Any]:
        self.calls.append("stitch")
        self.wanted = wanted
        upload, parts, plan = self.pending[upload_id], self.parts[upload_id], self.plan(upload_id)
        if upload["receipt"] is not None:
            return self._told(upload_id)
        if missing(plan, as_ranges(parts)):
            raise Refused("missing", status=409, problem="parts-missing")
        upload["problem"] = None
        whole, damaged = b"", []
        for number in sorted(parts):
            try:
                whole += self._opened(upload, plan, number, parts[number], wanted["key"])
            except DamagedSegment:
                damaged.append(number)
        if damaged:
            for number in damaged:
                del parts[number]
            upload["problem"] = {"type": "tag:bigfile.oci,2026:parts-damaged", "damaged": as_ranges(damaged)}
        elif hashlib.sha256(whole).hexdigest() != wanted["sha256"]:
            upload["problem"] = {"type": "tag:bigfile.oci,2026:digest-mismatch", "detail": "other bytes"}
        else:
            upload["state"] = "published"
            upload["receipt"] = {"upload_id": upload_id, **self.place(upload["path"], whole, mode=wanted["mode"] or "0640")}
        return self._told(upload_id)

    def _opened(self, upload: dict[str, t.Any], plan: Plan, number: int, data: bytes, key: str | None) -> bytes:
        stream: Stream = PlainStream()
        if upload["sealing"] is not None:
            assert key is not None
            unwrapped = unwrap_key(base64.b64decode(key), self.private_key, upload["id"])
            stream = SealedStream(unwrapped, base64.b64decode(upload["sealing"]["header"]), upload["path"].encode())
        opened, layout = b"", SEALED if plan.encrypted else PLAIN
        for index, (segment, _size, last) in enumerate(plan.part(number).segment_sizes(layout)):
            opened += bytes(stream.open(segment, data[index * SEGMENT_SIZE : (index + 1) * SEGMENT_SIZE], last=last))
        return opened

    def abort(self, upload_id: str) -> bool:
        self.calls.append("abort")
        if upload_id in self.pending and self.pending[upload_id]["receipt"]:
            raise Refused("published", status=409, problem="already-published")
        self.parts.pop(upload_id, None)
        return self.pending.pop(upload_id, None) is not None


def gathered(body: t.Iterable[memoryview]) -> bytes:
    """The body as it came over the wire: each piece is good until the next."""
    return b"".join(bytes(piece) for piece in body)
