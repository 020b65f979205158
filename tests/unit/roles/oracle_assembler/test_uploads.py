# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Promises of the upload calls, over HTTP."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import socket
import threading
import time
import typing as t
import urllib.parse

import pytest
from doubles import MIB, PART, Client, Service, Upload, problem_of

WAYS = [(True, "with_parts"), (True, "at_stitch"), (False, "with_parts")]
SIZES = [0, 1, MIB - 57, MIB - 56, MIB - 55, PART - 120, PART - 119, PART - 1, PART, PART + 1, 2 * PART + 1]


@pytest.mark.parametrize("sealed, release_key", WAYS)
@pytest.mark.parametrize("size", SIZES)
def test_what_is_published_is_byte_for_byte_what_was_sent(client: Client, size: int, sealed: bool, release_key: str) -> None:
    data = os.urandom(size)
    upload = client.begin(data, "round/größe 🗜.bin", sealed=sealed, release_key=release_key)
    client.put_all(upload)
    state = client.publish(upload)
    assert state["state"] == "published"
    assert state["receipt"]["sha256"] == upload.sha256
    answer = client.get_file(upload.path)
    assert answer.content == data
    assert answer.headers["Repr-Digest"].startswith("sha-256=:")


@pytest.mark.parametrize("sealed, release_key", WAYS)
def test_a_part_answers_with_the_etag_of_format_md(client: Client, sealed: bool, release_key: str) -> None:
    upload = client.begin(os.urandom(PART + 7), f"etag/{secrets.token_hex(4)}", sealed=sealed, release_key=release_key)
    for number in (1, 2):
        answer = client.put(upload, number)
        assert answer.json()["etag"] == upload.etag(number)
        assert client.put(upload, number).status_code == 200
    assert client.state(upload)["received"] == [[1, 2]]
    assert client.state(upload)["bytes_received"] == len(upload.data)


@pytest.mark.parametrize("sealed, release_key", WAYS)
def test_other_content_for_a_part_is_a_conflict_and_the_part_stays(client: Client, sealed: bool, release_key: str) -> None:
    upload = client.begin(os.urandom(PART + 7), f"conflict/{secrets.token_hex(4)}", sealed=sealed, release_key=release_key)
    client.put_all(upload)
    other = Upload(upload.path, os.urandom(PART + 7), sealed, release_key, id=upload.id, header=upload.header)
    answer = client.put(other, 1)
    assert (answer.status_code, problem_of(answer)) == (409, "part-conflict")
    assert answer.json()["etag"] == upload.etag(1)
    assert client.publish(upload)["state"] == "published"
    assert client.get_file(upload.path).content == upload.data


@pytest.mark.parametrize("sealed, release_key", WAYS)
def test_if_match_replaces_a_part(client: Client, sealed: bool, release_key: str) -> None:
    upload = client.begin(os.urandom(PART), f"replace/{secrets.token_hex(4)}", sealed=sealed, release_key=release_key)
    wrong = Upload(upload.path, os.urandom(PART), sealed, release_key, id=upload.id, header=upload.header, key=upload.key)
    assert client.put(wrong, 1).status_code == 201
    assert problem_of(client.put(upload, 1, **{"If-Match": '"' + "0" * 64 + '"'})) == "part-conflict"
    assert client.put(upload, 1, **{"If-Match": f'"{wrong.etag(1)}"'}).status_code == 201
    for number in range(2, upload.parts + 1):
        assert client.put(upload, number).status_code == 201
    assert client.publish(upload)["state"] == "published"


def test_begin_asked_again_gives_the_same_upload_and_differing_members_are_refused(client: Client) -> None:
    upload = client.begin(b"x", "again")
    again = client.call("POST", "/v1/uploads", json=upload.begin())
    assert (again.status_code, again.json()["id"]) == (200, upload.id)
    differs = client.call("POST", "/v1/uploads", json={**upload.begin(), "path": "elsewhere"})
    assert (differs.status_code, problem_of(differs)) == (409, "upload-differs")


@pytest.mark.parametrize(
    "changes, status, name",
    [
        ({"path": "../x"}, 422, "path-refused"),
        ({"path": "/x"}, 422, "path-refused"),
        ({"path": "a//b"}, 422, "path-refused"),
        ({"path": f".{'0' * 32}.partial"}, 422, "path-refused"),
        ({"parts": 2}, 422, "invalid"),
        ({"part_size": PART - 1}, 422, "invalid"),
        ({"part_size": PART - MIB}, 422, "invalid"),
        ({"size": 1 << 60}, 413, "too-large"),
        ({"id": "x"}, 422, "invalid"),
        ({"sealing": {"scheme": "ROT13", "header": ""}}, 422, "invalid"),
        ({"sealing": {"scheme": "AES256_GCM_HKDF_1MB", "header": "AAAA"}}, 422, "invalid"),
        ({"size": 70_000 * MIB, "parts": 14_001}, 413, "too-large"),
        ({"size": 1 << 43, "part_size": 1 << 30, "parts": 8193}, 507, "disk-full"),
        ({"surprise": 1}, 422, "invalid"),
    ],
)
def test_a_begin_call_that_cannot_work_is_refused(client: Client, changes: dict[str, t.Any], status: int, name: str) -> None:
    answer = client.call("POST", "/v1/uploads", json={**Upload("refused", b"x", True, "with_parts").begin(), **changes})
    assert (answer.status_code, problem_of(answer)) == (status, name)
    if name == "disk-full":
        assert answer.json()["needed"] > answer.json()["available"]
    if name == "too-large":
        assert answer.json()["limit"]


def test_the_destination_may_not_be_a_folder_nor_lie_below_a_file(client: Client) -> None:
    client.call("PUT", "/v1/folders/taken")
    client.put_file("plain.txt", b"x")
    for path, name in (("taken", "not-a-file"), ("plain.txt/x", "not-a-folder")):
        answer = client.call("POST", "/v1/uploads", json=Upload(path, b"x", True, "with_parts").begin())
        assert (answer.status_code, problem_of(answer)) == (409, name)


def test_another_users_upload_is_unknown(client: Client, service: Service) -> None:
    upload = client.begin(b"mine", "mine")
    other = service.client("other")
    assert problem_of(other.call("GET", f"/v1/uploads/{upload.id}")) == "upload-unknown"
    assert problem_of(other.put(upload, 1)) == "upload-unknown"
    assert upload.id not in [item["id"] for item in other.call("GET", "/v1/uploads").json()["uploads"]]
    assert upload.id in [item["id"] for item in client.call("GET", "/v1/uploads?path=mine").json()["uploads"]]
    assert client.call("GET", "/v1/uploads?path=yours").json() == {"uploads": []}


@pytest.mark.parametrize("change", ["flip", "swap", "drop"])
def test_a_part_that_changed_on_the_way_is_refused_and_not_received(client: Client, change: str) -> None:
    upload = client.begin(os.urandom(2 * PART), f"damaged/{change}")
    body = bytearray(upload.body(1))
    if change == "flip":
        body[MIB + 5] ^= 1
    elif change == "swap":
        body[MIB : 2 * MIB], body[2 * MIB : 3 * MIB] = body[2 * MIB : 3 * MIB], body[MIB : 2 * MIB]
    else:
        body = bytearray(upload.body(2).ljust(len(body), b"\0"))
    answer = client.put(upload, 1, bytes(body))
    assert (answer.status_code, problem_of(answer), answer.json()["retryable"]) == (422, "segment-damaged", True)
    assert answer.json()["segment"] == (0 if change == "drop" else 1)
    assert client.state(upload)["received"] == []


def test_a_stream_does_not_open_at_another_destination(client: Client) -> None:
    upload = client.begin(b"secret", "here")
    moved = Upload("there", upload.data, True, "with_parts", id=upload.id, key=upload.key, header=upload.header)
    assert problem_of(client.put(upload, 1, moved.body(1))) == "segment-damaged"


def test_keys_that_are_missing_or_wrapped_for_another_upload_are_refused(client: Client) -> None:
    upload, other = client.begin(b"x", "keys"), Upload("keys", b"x", True, "with_parts")
    path = f"/v1/uploads/{upload.id}/parts/1"
    assert problem_of(client.call("PUT", path, data=upload.body(1))) == "key-missing"
    for key in (client.wrapped(other), "AAAA", "not base64!"):
        assert problem_of(client.put(upload, 1, **{"Upload-Key": str(key)})) == "key-refused"
    client.put_all(upload)
    assert problem_of(client.stitch(upload, key=None)) == "key-missing"
    assert problem_of(client.stitch(upload, key=client.wrapped(other))) == "key-refused"


def test_lengths_and_numbers_that_do_not_fit_are_refused(client: Client) -> None:
    upload = client.begin(os.urandom(PART), "lengths")
    assert problem_of(client.put(upload, 1, upload.body(1) + b"x")) == "length-wrong"
    assert problem_of(client.put(upload, 1, iter([upload.body(1)]))) == "length-required"
    assert problem_of(client.put(upload, 3, b"x")) == "part-unknown"


def test_stitching_with_parts_missing_names_them(client: Client) -> None:
    upload = client.begin(os.urandom(4 * PART), "missing")
    client.put(upload, 2)
    answer = client.stitch(upload)
    assert (answer.status_code, problem_of(answer)) == (409, "parts-missing")
    assert answer.json()["missing"] == [[1, 1], [3, upload.parts]]


def test_stitching_is_replay_safe_and_the_receipt_is_kept(client: Client) -> None:
    upload = client.begin(os.urandom(PART), "replay")
    client.put_all(upload)
    assert client.stitch(upload).status_code == 202
    assert client.stitch(upload).status_code in (200, 202)
    receipt = client.settled(upload)["receipt"]
    assert (client.stitch(upload).status_code, client.stitch(upload).json()["receipt"]) == (200, receipt)
    assert problem_of(client.stitch(upload, sha256="0" * 64)) == "upload-differs"
    assert problem_of(client.put(upload, 1)) == "already-published"
    assert problem_of(client.call("DELETE", f"/v1/uploads/{upload.id}")) == "already-published"
    assert client.call("POST", "/v1/uploads", json=upload.begin()).json()["receipt"] == receipt


@pytest.mark.parametrize("changes", [{"name": "other"}, {"size": 5}])
def test_stitching_something_else_than_was_begun_is_refused(client: Client, changes: dict[str, t.Any]) -> None:
    upload = client.begin(b"x", "differs")
    client.put_all(upload)
    assert problem_of(client.stitch(upload, **changes)) == "upload-differs"


def test_overwrite_false_leaves_an_existing_file_alone(client: Client) -> None:
    client.put_file("kept", b"old")
    upload = client.begin(b"new", "kept")
    client.put_all(upload)
    assert (client.stitch(upload, overwrite=False).status_code, client.get_file("kept").content) == (412, b"old")
    fresh = client.begin(b"new", f"fresh-{upload.id}")
    client.put_all(fresh)
    assert client.stitch(fresh, overwrite=False).status_code == 202
    assert client.settled(fresh)["state"] == "published"
    assert client.publish(upload)["state"] == "published"
    assert client.get_file("kept").content == b"new"


@pytest.mark.parametrize("sealed, release_key", WAYS)
def test_a_source_that_changed_is_not_published(client: Client, sealed: bool, release_key: str) -> None:
    upload = client.begin(os.urandom(PART), f"changed-{sealed}-{release_key}", sealed=sealed, release_key=release_key)
    client.put_all(upload)
    assert client.stitch(upload, sha256="0" * 64).status_code == 202
    state = client.settled(upload)
    assert (state["state"], state["problem"]["type"].rpartition(":")[2]) == ("receiving", "digest-mismatch")
    assert client.get_file(upload.path).status_code == 404
    assert client.publish(upload)["state"] == "published"


@pytest.mark.parametrize("sealed, release_key", WAYS)
def test_damage_on_the_disk_is_pinned_to_its_parts_which_can_be_sent_again(
    client: Client, service: Service, sealed: bool, release_key: str
) -> None:
    upload = client.begin(os.urandom(4 * PART), f"rotten-{sealed}-{release_key}", sealed=sealed, release_key=release_key)
    client.put_all(upload)
    for number in (2, 4):
        with (service.data / f".{upload.id}.partial").open("r+b") as file:
            file.seek((number - 1) * PART + 3 * MIB)
            file.write(b"rot")
    state = client.publish(upload)
    assert state["problem"]["type"].endswith("parts-damaged")
    assert state["problem"]["damaged"] == [[2, 2], [4, 4]]
    assert state["received"] == [[number, number] for number in (1, 3)] + ([[5, 5]] if upload.parts == 5 else [])
    for number in (2, 4):
        assert client.put(upload, number).status_code == 201
    assert client.publish(upload)["state"] == "published"
    assert client.get_file(upload.path).content == upload.data


def test_a_sealed_upload_that_waits_for_its_key_leaves_no_plaintext_on_the_disk(client: Client, service: Service) -> None:
    marker = secrets.token_bytes(24)
    upload = client.begin(marker * 9000, "waiting/exp", release_key="at_stitch")
    client.put_all(upload)
    found = [path for path in service.root.rglob("*") if path.is_file() and marker in path.read_bytes()]
    assert found == []
    client.call("DELETE", f"/v1/uploads/{upload.id}")


def test_a_sealed_part_that_begins_with_another_header_is_refused_although_its_key_is_not_there_yet(client: Client) -> None:
    upload = client.begin(os.urandom(PART), "waiting/header", release_key="at_stitch")
    body = bytearray(upload.body(1))
    body[20] ^= 1
    assert problem_of(client.put(upload, 1, bytes(body))) == "segment-damaged"
    client.call("DELETE", f"/v1/uploads/{upload.id}")


@pytest.mark.parametrize(
    "prefer, status",
    [("wait=30", 200), ("respond-async, wait=30; x=1", 200), ("handling=strict,WAIT = 30", 200), ("wait=soon", 202), ("", 202)],
)
def test_the_answer_to_stitch_waits_for_the_end_when_that_is_preferred(client: Client, prefer: str, status: int) -> None:
    upload = client.begin(os.urandom(2 * PART), f"preferred/{len(prefer)}")
    client.put_all(upload)
    client.http.headers["Prefer"] = prefer
    try:
        answer = client.stitch(upload)
    finally:
        del client.http.headers["Prefer"]
    assert answer.status_code == status
    assert answer.json()["state"] == ("published" if status == 200 else "stitching")
    assert client.settled(upload)["state"] == "published"


def test_asking_for_an_upload_waits_for_the_end_of_its_stitching_and_for_nothing_else(client: Client) -> None:
    upload = client.begin(os.urandom(8 * PART), "preferred/state", release_key="at_stitch")
    waiting = {"Prefer": "wait=30"}
    client.put_all(upload)
    assert client.call("GET", f"/v1/uploads/{upload.id}", headers=waiting).json()["state"] == "receiving"
    assert client.stitch(upload).status_code == 202
    assert client.call("GET", f"/v1/uploads/{upload.id}", headers=waiting).json()["state"] == "published"


def test_abort_gives_everything_back(client: Client, service: Service) -> None:
    upload = client.begin(os.urandom(2 * PART), "aborted/x")
    client.put(upload, 1)
    assert client.call("DELETE", f"/v1/uploads/{upload.id}").status_code == 204
    assert list((service.data / "aborted").iterdir()) == []
    assert not (service.state / "uploads" / f"{upload.id}.json").exists()
    assert problem_of(client.call("DELETE", f"/v1/uploads/{upload.id}")) == "upload-unknown"
    assert problem_of(client.put(upload, 1)) == "upload-unknown"


class Slow:
    """A part on its way, by hand: begun, and sent on when told."""

    def __init__(self, client: Client, upload: Upload, number: int, sent: int, target: str = "", headers: str = "") -> None:
        place = urllib.parse.urlsplit(client.url)
        self.body, self.sent = upload.body(number), sent
        self.socket = socket.create_connection((place.hostname, place.port), timeout=20)
        target = target or f"PUT /v1/uploads/{upload.id}/parts/{number}"
        head = f"{target} HTTP/1.1\r\nHost: here\r\nContent-Length: {len(self.body)}\r\n{headers}"
        head += f"Authorization: {client.http.headers['Authorization']}\r\nUpload-Key: {client.wrapped(upload)}\r\n\r\n"
        self.socket.sendall(head.encode() + self.body[:sent])

    def answer(self, *, rest: bool = False) -> str:
        """The answer, as text."""
        if rest:
            self.socket.sendall(self.body[self.sent :])
        answer = b""
        while b"}" not in answer:
            answer += self.socket.recv(4096)
        self.socket.close()
        return answer.decode()


def test_a_newer_request_takes_over_from_one_that_is_stuck(client: Client) -> None:
    upload = client.begin(os.urandom(PART), "takeover")
    stuck = Slow(client, upload, 1, 2 * MIB)
    time.sleep(0.2)
    assert client.put(upload, 1).status_code == 201
    assert "superseded" in stuck.answer()
    client.put(upload, 2)
    assert client.publish(upload)["state"] == "published"


def test_a_newer_request_for_a_single_file_takes_over_too(client: Client) -> None:
    upload = Upload("takeover-single", os.urandom(3 * MIB), True, "with_parts")
    digest = base64.b64encode(hashlib.sha256(upload.data).digest()).decode()
    facts = {
        "Upload-Id": upload.id,
        "Upload-Size": str(3 * MIB),
        "Repr-Digest": f"sha-256=:{digest}:",
        "Upload-Sealing": "AES256_GCM_HKDF_1MB",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in facts.items())
    stuck = Slow(client, upload, 1, 2 * MIB, f"PUT /v1/files/{upload.path}", lines)
    time.sleep(0.2)
    assert (
        client.call(
            "PUT", f"/v1/files/{upload.path}", data=upload.body(1), headers={**facts, "Upload-Key": client.wrapped(upload)}
        ).status_code
        == 201
    )
    assert "superseded" in stuck.answer()
    assert client.get_file(upload.path).content == upload.data


def test_a_call_in_json_that_stands_still_is_ended(client: Client) -> None:
    upload = Upload("json", b"x" * 100, False, "with_parts")
    assert "stalled" in Slow(client, upload, 1, 10, "POST /v1/uploads", "Content-Type: application/json\r\n").answer()


def test_a_body_that_stands_still_is_ended_and_the_part_is_not_received(client: Client) -> None:
    upload = client.begin(os.urandom(PART), "stalled")
    answer = Slow(client, upload, 1, 2 * MIB).answer()
    assert answer.startswith("HTTP/1.1 408") and "stalled" in answer
    assert client.state(upload)["received"] == []


def test_a_client_that_leaves_in_the_middle_leaves_no_part(client: Client) -> None:
    upload = client.begin(os.urandom(PART), "gone")
    for sent in (0, MIB // 2, 3 * MIB):
        Slow(client, upload, 1, sent).socket.close()
    time.sleep(0.1)
    assert client.state(upload)["received"] == []
    assert client.put(upload, 1).status_code == 201


def test_abort_stops_a_part_that_is_under_way(client: Client) -> None:
    upload = client.begin(os.urandom(PART), "stopped")
    stuck = Slow(client, upload, 1, 2 * MIB)
    time.sleep(0.2)
    assert client.call("DELETE", f"/v1/uploads/{upload.id}").status_code == 204
    assert "upload-unknown" in stuck.answer()


def test_an_answer_that_comes_before_the_body_is_read_reaches_the_client_and_the_connection_goes_on(client: Client) -> None:
    upload = Upload("nobody", os.urandom(16 * MIB), True, "with_parts", part_size=32 * MIB)
    for _attempt in range(3):
        assert problem_of(client.put(upload, 1)) == "upload-unknown"
        assert client.call("GET", "/v1/server").status_code == 200


def test_parts_in_parallel_and_stalled_clients_do_not_hinder_each_other(client: Client, service: Service) -> None:
    upload = client.begin(os.urandom(8 * PART), "parallel")
    stuck = [Slow(client, client.begin(os.urandom(PART), f"parallel-{index}"), 1, MIB) for index in range(20)]
    threads = [threading.Thread(target=service.client().put, args=(upload, number)) for number in range(1, upload.parts + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.publish(upload)["state"] == "published"
    for slow in stuck:
        slow.socket.close()
