# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Promises of the calls for files and folders, over HTTP."""

from __future__ import annotations

import os
import pathlib
import secrets
import typing as t

import pytest
from doubles import MIB, Client, Service, Upload, problem_of


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("size", [0, 1, MIB - 56, MIB - 55, 3 * MIB])
def test_a_file_in_one_request_is_published_byte_for_byte(client: Client, size: int, sealed: bool) -> None:
    data, path = os.urandom(size), f"single/{size}-{sealed}"
    answer = client.put_file(path, data, sealed=sealed)
    assert (answer.status_code, answer.json()["size"], answer.json()["mode"]) == (201, size, "0640")
    assert client.put_file(path, data, sealed=sealed).status_code == 200
    assert client.get_file(path).content == data


@pytest.mark.parametrize("name", ["-rf", " leading", "ü", "🗜", "a%2Fb?c#d", "x" * 255, ".hidden", "back\\slash", "semi;colon", "~", "*"])
def test_names_that_are_unusual_are_taken_as_they_are(client: Client, service: Service, name: str) -> None:
    assert client.put_file(f"names/{name}", b"content").status_code == 201
    assert (service.data / "names" / name).read_bytes() == b"content"
    assert name in [entry["name"] for entry in client.call("GET", "/v1/folders/names").json()["entries"]]
    assert client.get_file(f"names/{name}").content == b"content"


@pytest.mark.parametrize(
    "raw",
    [
        "%2e%2e/x",
        "../x",
        "a/../x",
        "./x",
        "a//x",
        "a/",
        "%00",
        "a%0Ab",
        "a%2Fb",
        "%ff",
        "%C2%85",
        "x" * 256,
        ".0123456789abcdef0123456789abcdef.segments",
    ],
)
@pytest.mark.parametrize("method, place", [("GET", "files"), ("DELETE", "files"), ("PUT", "folders"), ("DELETE", "folders")])
def test_paths_that_lead_elsewhere_are_refused(client: Client, service: Service, method: str, place: str, raw: str) -> None:
    request = client.http.prepare_request(__import__("requests").Request(method, service.url))
    request.url = f"{service.url}/v1/{place}/{raw}"
    answer = client.http.send(request)
    assert (answer.status_code, problem_of(answer)) == (422, "path-refused")


def test_if_none_match_keeps_an_existing_file(client: Client) -> None:
    assert client.put_file("once", b"first", **{"If-None-Match": "*"}).status_code == 201
    assert problem_of(client.put_file("once", b"second", **{"If-None-Match": "*"})) == "exists"
    assert client.get_file("once").content == b"first"


@pytest.mark.parametrize(
    "headers, name",
    [
        ({"Repr-Digest": "sha-256=:" + "A" * 43 + "=:"}, "digest-mismatch"),
        ({"Repr-Digest": "md5=:AAAA:"}, "invalid"),
        ({"Upload-Size": "4"}, "length-wrong"),
        ({"Upload-Size": "-1"}, "invalid"),
        ({"Upload-Key": "AAAA"}, "key-refused"),
        ({"Upload-Id": "x"}, "invalid"),
        ({"Upload-Mode": "9999"}, "invalid"),
        ({"Upload-Sealing": "ROT13"}, "invalid"),
    ],
)
def test_a_file_that_is_not_what_its_headers_say_is_not_published(
    client: Client, service: Service, headers: dict[str, str], name: str
) -> None:
    assert problem_of(client.put_file("wrong/file", b"12345", **headers)) == name
    assert client.get_file("wrong/file").status_code == 404
    assert [path.name for path in (service.data / "wrong").glob(".*")] == []


def test_a_file_above_the_limit_is_refused_with_the_limit(client: Client) -> None:
    answer = client.put_file("large", bytes((32 << 20) + 1), sealed=False)
    assert (problem_of(answer), answer.json()["limit"]) == ("too-large", 32 << 20)


def test_a_damaged_segment_of_a_single_file_is_named(client: Client) -> None:
    upload = Upload("single/damaged", os.urandom(2 * MIB), True, "with_parts", part_size=3 * MIB)
    body = bytearray(upload.body(1))
    body[MIB + 1] ^= 1
    headers = {"Upload-Id": upload.id, "Upload-Key": str(client.wrapped(upload)), "Upload-Size": str(2 * MIB)}
    headers.update({"Repr-Digest": "sha-256=:" + "A" * 43 + "=:", "Upload-Sealing": "AES256_GCM_HKDF_1MB"})
    answer = client.call("PUT", "/v1/files/single/damaged", data=bytes(body), headers=headers)
    assert (problem_of(answer), answer.json()["segment"]) == ("segment-damaged", 1)


def test_head_says_what_get_would_and_reads_nothing(client: Client, service: Service) -> None:
    client.put_file("facts", b"12345", **{"Upload-Mode": "0600"})
    head = client.call("HEAD", "/v1/files/facts")
    assert (head.status_code, head.headers["Content-Length"], head.headers["File-Mode"]) == (200, "5", "0600")
    get = client.get_file("facts")
    for name in ("Content-Length", "Last-Modified", "File-Mode", "Repr-Digest", "Accept-Ranges"):
        assert get.headers[name] == head.headers[name]
    assert client.call("HEAD", "/v1/files/nothing").status_code == 404
    assert (service.data / "facts").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "wanted, status, content",
    [
        ("bytes=0-0", 206, b"0"),
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=-30", 206, b"0123456789"),
        ("bytes=5-500", 206, b"56789"),
        ("bytes=10-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=4-2", 200, b"0123456789"),
        ("bytes=0-1,3-4", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
        (f"bytes={'9' * 5000}-", 200, b"0123456789"),
        (f"bytes=0-{'9' * 18}", 206, b"0123456789"),
    ],
)
def test_ranges(client: Client, wanted: str, status: int, content: bytes | None) -> None:
    client.put_file("ranges", b"0123456789")
    answer = client.get_file("ranges", Range=wanted)
    assert answer.status_code == status
    if content is not None:
        assert answer.content == content
    if status == 206:
        assert answer.headers["Content-Range"].endswith("/10")


def test_a_digest_is_known_until_somebody_changes_the_file(client: Client, service: Service) -> None:
    client.put_file("digest", b"12345")
    mine = service.data / "digest"
    mine.chmod(0o600)
    assert "Repr-Digest" in client.call("HEAD", "/v1/files/digest").headers
    mine.write_bytes(b"54321")
    os.utime(mine, (1, 1))
    assert "Repr-Digest" not in client.call("HEAD", "/v1/files/digest").headers


def test_a_mode_is_changed_and_told(client: Client) -> None:
    client.put_file("mode", b"x")
    answer = client.call("PATCH", "/v1/files/mode", json={"mode": "0600"})
    assert (answer.status_code, answer.json()["mode"], answer.json()["size"]) == (200, "0600", 1)
    assert client.call("HEAD", "/v1/files/mode").headers["File-Mode"] == "0600"
    assert problem_of(client.call("PATCH", "/v1/files/mode", json={"mode": "4755"})) == "invalid"
    assert problem_of(client.call("PATCH", "/v1/files/nothing", json={"mode": "0600"})) == "not-found"


def test_files_are_deleted_once(client: Client) -> None:
    client.put_file("doomed", b"x")
    assert client.call("DELETE", "/v1/files/doomed").status_code == 204
    assert problem_of(client.call("DELETE", "/v1/files/doomed")) == "not-found"


def test_folders_are_made_with_their_parents_and_told_apart_from_files(client: Client) -> None:
    base = f"folders-{secrets.token_hex(3)}"
    assert client.call("PUT", f"/v1/folders/{base}/a/b").status_code == 201
    assert client.call("PUT", f"/v1/folders/{base}/a/b").status_code == 200
    client.put_file(f"{base}/file", b"x")
    assert problem_of(client.call("PUT", f"/v1/folders/{base}/file")) == "not-a-folder"
    assert problem_of(client.call("PUT", f"/v1/folders/{base}/file/x")) == "not-a-folder"
    assert problem_of(client.call("GET", f"/v1/folders/{base}/nothing")) == "not-found"
    assert problem_of(client.get_file(f"{base}/a")) == "not-a-file"
    assert problem_of(client.put_file(f"{base}/a", b"x")) == "not-a-file"
    entries = client.call("GET", f"/v1/folders/{base}").json()["entries"]
    assert [(entry["name"], entry["type"], entry["size"]) for entry in entries] == [("a", "folder", 0), ("file", "file", 1)]
    assert base in [entry["name"] for entry in client.call("GET", "/v1/folders/").json()["entries"]]


def test_folders_are_deleted_with_their_content_only_when_asked(client: Client) -> None:
    client.put_file("tree/a/b", b"x")
    assert problem_of(client.call("DELETE", "/v1/folders/tree")) == "folder-not-empty"
    assert client.call("DELETE", "/v1/folders/tree?recursive=true").status_code == 204
    assert problem_of(client.call("DELETE", "/v1/folders/tree?recursive=true")) == "not-found"
    assert problem_of(client.call("DELETE", "/v1/folders/")) == "path-refused"


def test_a_folder_that_an_upload_goes_to_is_not_deleted_nor_are_the_services_own_names_shown(client: Client) -> None:
    upload = client.begin(b"x", "busy/deep/file")
    assert client.call("GET", "/v1/folders/busy/deep").json()["entries"] == []
    for folder in ("busy", "busy/deep"):
        assert problem_of(client.call("DELETE", f"/v1/folders/{folder}?recursive=true")) == "folder-in-use"
    client.call("DELETE", f"/v1/uploads/{upload.id}")
    assert client.call("DELETE", "/v1/folders/busy?recursive=true").status_code == 204


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.get_file("trap/file"),
        lambda client: client.get_file("link"),
        lambda client: client.put_file("trap/new", b"x"),
        lambda client: client.put_file("link", b"x"),
        lambda client: client.call("PUT", "/v1/folders/trap/new"),
        lambda client: client.call("GET", "/v1/folders/trap"),
        lambda client: client.call("DELETE", "/v1/files/trap/file"),
        lambda client: client.call("DELETE", "/v1/folders/trap?recursive=true"),
        lambda client: client.call("PATCH", "/v1/files/link", json={"mode": "0777"}),
        lambda client: client.call("POST", "/v1/uploads", json=Upload("trap/up", b"x", True, "with_parts").begin()),
        lambda client: client.call("POST", "/v1/uploads", json=Upload("link", b"x", True, "with_parts").begin()),
    ],
)
def test_symbolic_links_lead_nowhere(client: Client, service: Service, tmp_path: pathlib.Path, call: t.Any) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"secret")
    links = {"trap": outside, "link": outside / "file"}
    for name, target in links.items():
        (service.data / name).unlink(missing_ok=True)
        (service.data / name).symlink_to(target)
    answer = call(client)
    assert (answer.status_code, problem_of(answer)[:5]) == (409, "not-a")
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_bytes() == b"secret"
    assert set(links) & {entry["name"] for entry in client.call("GET", "/v1/folders/").json()["entries"]} == set()


def test_deleting_a_tree_removes_links_in_it_and_not_what_they_point_to(client: Client, service: Service, tmp_path: pathlib.Path) -> None:
    (tmp_path / "kept").write_bytes(b"x")
    client.call("PUT", "/v1/folders/linked/deep")
    (service.data / "linked" / "deep" / "folder").symlink_to(tmp_path)
    (service.data / "linked" / "file").symlink_to(tmp_path / "kept")
    assert client.call("DELETE", "/v1/folders/linked?recursive=true").status_code == 204
    assert (tmp_path / "kept").exists()


def test_the_quota_counts_files_and_promises(service: Service) -> None:
    client = service.client("small")
    assert client.put_file("five", bytes(5 * MIB)).status_code == 201
    upload = client.begin(bytes(6 * MIB), "six")
    answer = client.put_file("two", bytes(2 * MIB))
    assert (answer.status_code, problem_of(answer), answer.json()["available"]) == (507, "quota-reached", MIB)
    assert client.call("DELETE", f"/v1/uploads/{upload.id}").status_code == 204
    assert client.put_file("two", bytes(2 * MIB)).status_code == 201
