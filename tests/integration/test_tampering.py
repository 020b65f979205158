"""Whatever is changed on the way or on the disk: nothing wrong is published, and the answer names the damaged parts."""

from __future__ import annotations

import base64
import http.server
import io
import json
import os
import time
import typing as t
from pathlib import Path

import pytest
import requests
import tink
from tink import secret_key_access, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

from ansible_collections.bigfile.oci.plugins.module_utils import _plan
from ansible_collections.bigfile.oci.plugins.module_utils._sealed import cipher
from ansible_collections.bigfile.oci.plugins.module_utils._sealed.layout import SEALED, SEGMENT_SIZE

from .conftest import Client, MiB, Service, make_file, secret, sha256_of
from .test_errors import serving
from .test_source import interrupted

SIZE = 12 * MiB
PART = 5 * MiB


def tink_primitive(key: bytes) -> streaming_aead.StreamingAead:
    """Tink's own AES256_GCM_HKDF_1MB with this key."""
    streaming_aead.register()
    parameters = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
        ciphertext_segment_size=SEGMENT_SIZE, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256
    )
    material = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(version=0, key_value=key, params=parameters)
    data = tink_pb2.KeyData(
        type_url="type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
        value=material.SerializeToString(),
        key_material_type=tink_pb2.KeyData.SYMMETRIC,
    )
    entry = tink_pb2.Keyset.Key(key_data=data, status=tink_pb2.ENABLED, key_id=1, output_prefix_type=tink_pb2.RAW)
    keyset = tink_pb2.Keyset(primary_key_id=1, key=[entry])
    handle = tink.proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return handle.primitive(streaming_aead.StreamingAead)


class Kept(io.BytesIO):
    """Keeps its bytes when tink closes it."""

    def close(self) -> None:
        """Stay open."""


class Upload:
    """An upload sent call by call, past our own client, so that it can be spoiled anywhere."""

    def __init__(self, service: Service, work: Path, path: str, release_key: str) -> None:
        self.service = service
        self.source = make_file(work / path, SIZE)
        self.path = path
        self.key = os.urandom(32)
        secret(self.key.hex())
        secret(base64.b64encode(self.key).decode())
        with Kept() as sealed:
            with tink_primitive(self.key).new_encrypting_stream(sealed, path.encode()) as stream:
                stream.write(self.source.read_bytes())
            self.stream = sealed.getvalue()
        self.parts = _plan.Plan(SIZE, PART, True).part_count
        self.with_parts = release_key == "with_parts"
        self.token = service.token()
        facts = requests.get(f"{service.url}/v1/server", timeout=10).json()
        begun = self.call(
            "POST",
            "",
            json={
                "path": path,
                "size": SIZE,
                "part_size": PART,
                "parts": self.parts,
                "sealing": {"scheme": cipher.SCHEME, "header": base64.b64encode(self.stream[: SEALED.header]).decode()},
                "release_key": release_key,
                "source": "",
            },
        )
        assert begun.status_code == 201, begun.text
        self.id = begun.json()["id"]
        wrapped = cipher.wrap_key(self.key, base64.b64decode(facts["public_key"]), self.id)
        self.wrapped = base64.b64encode(wrapped).decode()

    def call(self, method: str, route: str, **request: t.Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}", **request.pop("headers", {})}
        return requests.request(method, f"{self.service.url}/v1/uploads{route}", headers=headers, timeout=60, **request)

    def bytes_of(self, number: int) -> bytes:
        return self.stream[(number - 1) * PART : number * PART]

    def put(self, number: int, body: bytes) -> requests.Response:
        headers = {"Upload-Key": self.wrapped} if self.with_parts else {}
        return self.call("PUT", f"/{self.id}/parts/{number}", data=body, headers=headers)

    def put_all(self) -> None:
        for number in range(1, self.parts + 1):
            assert self.put(number, self.bytes_of(number)).status_code == 201

    def stitch(self) -> dict[str, t.Any]:
        """Ask for stitching and wait for its end; the upload, or the problem that came at once."""
        wanted = {
            "name": self.path,
            "size": SIZE,
            "sha256": sha256_of(self.source),
            "key": self.wrapped,
            "mode": None,
            "overwrite": True,
        }
        answer = self.call("POST", f"/{self.id}/stitch", json=wanted)
        found: dict[str, t.Any] = answer.json()
        while found.get("state") == "stitching":
            time.sleep(0.02)
            found = self.call("GET", f"/{self.id}").json()
        return found

    def file(self, suffix: str) -> Path:
        """A file of this upload in the service's folder."""
        return self.service.root / f".{self.id}.segments" / suffix

    @property
    def published(self) -> Path:
        return self.service.root / self.path


def problem_of(found: dict[str, t.Any]) -> dict[str, t.Any]:
    return found.get("problem") or found


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("release_key", ["with_parts", "at_stitch"])
def test_the_service_opens_what_tink_sealed(service: Service, work: Path, release_key: str) -> None:
    upload = Upload(service, work, "tink.bin", release_key)
    upload.put_all()
    assert upload.stitch()["state"] == "published"
    assert sha256_of(upload.published) == sha256_of(upload.source)


class Recorder(http.server.BaseHTTPRequestHandler):
    """Plays the service as far as the client can see, and keeps what it is sent; its private key is the test's."""

    protocol_version = "HTTP/1.1"
    private_key = cipher.new_private_key()
    received: t.ClassVar[dict[str, t.Any]] = {}

    def answer(self, status: int, members: dict[str, t.Any]) -> None:
        body = json.dumps(members).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if status < 400 else "application/problem+json")
        self.send_header("Content-Length", str(len(body) if self.command != "HEAD" else 0))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def receipt(self, path: str, size: int, sha256: str) -> dict[str, t.Any]:
        return {"path": path, "size": size, "sha256": sha256, "mode": "0640"}

    def do_HEAD(self) -> None:
        self.answer(404, {})

    def do_GET(self) -> None:
        public_key = base64.b64encode(cipher.public_key_of(self.private_key)).decode()
        facts = {"service": "oracle_assembler", "api": 1, "public_key": public_key, "sealing": [cipher.SCHEME]}
        self.answer(200, facts if self.path == "/v1/server" else {"uploads": []})

    def do_POST(self) -> None:
        wanted = json.loads(self.body())
        if self.path.endswith("/stitch"):
            self.received["key"] = wanted["key"]
            self.answer(202, {"state": "published", "receipt": self.receipt("sealed.bin", wanted["size"], wanted["sha256"])})
        elif self.path == "/v1/uploads":
            self.received["id"] = wanted["id"]
            self.answer(201, {**wanted, "state": "receiving", "received": []})
        else:
            self.answer(200, {"token": "t", "token_type": "Bearer", "expires_in": 60})

    def do_PUT(self) -> None:
        body = self.body()
        if "/parts/" in self.path:
            digest = cipher.PartDigest(SEALED)
            for start in range(0, len(body), SEGMENT_SIZE):
                digest.add(body[start : start + SEGMENT_SIZE])
            self.received[int(self.path.rpartition("/")[2])] = body
            self.answer(201, {"etag": digest.etag()})
        else:
            sha256 = base64.b64decode(self.headers["Repr-Digest"].removeprefix("sha-256=:").removesuffix(":")).hex()
            self.received.update({1: body, "id": self.headers["Upload-Id"], "key": self.headers["Upload-Key"]})
            self.answer(201, self.receipt("sealed.bin", int(self.headers["Upload-Size"]), sha256))

    def log_message(self, *unused: t.Any) -> None:
        """Keep quiet."""


@pytest.mark.parametrize("options", [{"threshold": "20M"}, {"part_size": "5M"}, {"part_size": "5M", "release_key": "at_stitch"}])
def test_tink_opens_what_the_client_seals(client: Client, work: Path, options: dict[str, str]) -> None:
    source = make_file(work / "sealed.bin", SIZE)
    Recorder.received.clear()
    with serving(Recorder) as endpoint:
        client.upload(source, endpoint=endpoint, **options)
    key = cipher.unwrap_key(base64.b64decode(Recorder.received["key"]), Recorder.private_key, Recorder.received["id"])
    stream = io.BytesIO(b"".join(Recorder.received[number] for number in range(1, 10) if number in Recorder.received))
    with tink_primitive(key).new_decrypting_stream(stream, b"sealed.bin") as opened:
        assert opened.read() == source.read_bytes()


@pytest.mark.parametrize("place", [0, 1, 33, 40, 1000, MiB - 1, MiB, PART - 1])
def test_a_byte_changed_on_the_way_is_refused_at_once_and_the_right_bytes_are_still_taken(service: Service, work: Path, place: int) -> None:
    upload = Upload(service, work, "flipped.bin", "with_parts")
    spoiled = bytearray(upload.bytes_of(1))
    spoiled[place] ^= 1
    answer = upload.put(1, bytes(spoiled))
    assert answer.status_code == 422 and answer.json()["type"].endswith(":segment-damaged") and answer.json()["retryable"] is True
    assert upload.call("GET", f"/{upload.id}").json()["received"] == []
    upload.put_all()
    assert upload.stitch()["state"] == "published"
    assert sha256_of(upload.published) == sha256_of(upload.source)


def spoil_flipped(upload: Upload) -> None:
    flip(upload.service.root / f".{upload.id}.partial", 7 * MiB)


def spoil_tag(upload: Upload) -> None:
    flip(upload.file("2.sealed"), 3)


def spoil_truncated(upload: Upload) -> None:
    os.truncate(upload.file("2.sealed"), upload.file("2.sealed").stat().st_size - 1)


def spoil_swapped(upload: Upload) -> None:
    one, two, aside = upload.file("1.sealed"), upload.file("2.sealed"), upload.file("aside")
    one.rename(aside)
    two.rename(one)
    aside.rename(two)


def spoil_dropped(upload: Upload) -> None:
    upload.file("2.sealed").unlink()


@pytest.mark.parametrize(
    ("spoil", "damaged"),
    [(spoil_flipped, [[2, 2]]), (spoil_tag, [[2, 2]]), (spoil_truncated, [[2, 2]]), (spoil_swapped, [[1, 2]]), (spoil_dropped, [[2, 2]])],
)
def test_sealed_parts_spoiled_on_the_disk_are_named_and_only_they_are_sent_again(
    service: Service, work: Path, spoil: t.Callable[[Upload], None], damaged: list[list[int]]
) -> None:
    upload = Upload(service, work, "spoiled.bin", "at_stitch")
    upload.put_all()
    service.kill()
    spoil(upload)
    service.start()
    problem = problem_of(upload.stitch())
    assert (problem.get("damaged") or problem.get("missing")) == damaged, problem
    assert not upload.published.exists()
    for first, last in damaged:
        for number in range(first, last + 1):
            assert upload.put(number, upload.bytes_of(number)).status_code == 201
    assert upload.stitch()["state"] == "published"
    assert sha256_of(upload.published) == sha256_of(upload.source)


def test_a_byte_flipped_in_the_partial_file_is_found_and_only_its_part_is_sent_again(service: Service, work: Path) -> None:
    upload = Upload(service, work, "partial.bin", "with_parts")
    upload.put_all()
    flip(service.root / f".{upload.id}.partial", 7 * MiB)
    found = upload.stitch()
    assert found["state"] == "receiving" and found["problem"]["damaged"] == [[2, 2]], found
    assert found["received"] == [[1, 1], [3, 3]]
    assert not upload.published.exists()
    assert upload.put(2, upload.bytes_of(2)).status_code == 201
    assert upload.stitch()["state"] == "published"
    assert sha256_of(upload.published) == sha256_of(upload.source)


def test_the_client_mends_damage_on_the_services_disk_by_itself(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "mended.bin", 60 * MiB)
    interrupted(client, service, source)
    (pending,) = service.call("GET", "/v1/uploads?path=mended.bin").json()["uploads"]
    (partial,) = service.root.glob(".*.partial")
    arrived = pending["received"][0][0]  # not always the first: parts go by threads
    flip(partial, (arrived - 1) * PART + MiB)
    result = client.upload(source)
    assert sha256_of(service.root / "mended.bin") == sha256_of(source)
    assert result["parts_sent"] + result["parts_present"] > result["parts"], "the damaged part went again"


def test_a_sealed_stream_for_one_destination_does_not_open_at_another(service: Service, work: Path) -> None:
    upload = Upload(service, work, "here.bin", "with_parts")
    elsewhere = Upload(service, work, "there.bin", "with_parts")
    answer = elsewhere.put(1, upload.bytes_of(1))
    assert answer.status_code == 422
    upload.wrapped, upload.id, other = elsewhere.wrapped, upload.id, upload.wrapped
    assert upload.put(1, upload.bytes_of(1)).json()["type"].endswith(":key-refused"), "a wrapped key serves one upload only"
    upload.wrapped = other
    for pending in (upload, elsewhere):
        assert pending.call("DELETE", f"/{pending.id}").status_code == 204


def test_the_same_part_again_is_a_success_and_another_content_a_conflict(service: Service, work: Path) -> None:
    upload = Upload(service, work, "again.bin", "at_stitch")
    assert [upload.put(1, upload.bytes_of(1)).status_code for unused in range(2)] == [201, 200]
    other = upload.bytes_of(2)
    conflict = upload.put(1, other[: len(upload.bytes_of(1))])
    assert conflict.status_code == 409 and conflict.json()["type"].endswith(":part-conflict")
    for number in range(2, upload.parts + 1):
        assert upload.put(number, upload.bytes_of(number)).status_code == 201
    assert upload.stitch()["state"] == "published"


def test_stitching_is_safe_to_ask_for_again_and_the_receipt_is_given_again(service: Service, work: Path) -> None:
    upload = Upload(service, work, "replayed.bin", "with_parts")
    upload.put_all()
    first = upload.stitch()
    assert first["state"] == "published"
    assert upload.stitch()["receipt"] == first["receipt"]
    service.kill()
    service.start()
    assert upload.stitch()["receipt"] == first["receipt"]
