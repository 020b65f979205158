"""Every size and every way of sending ends with the very bytes of the source at the destination."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from .conftest import Client, MiB, Service, make_file, sha256_of

THRESHOLD = 5 * MiB
FIRST_SEGMENT = MiB - 40 - 16
SEALED_PART = 5 * (MiB - 16) - 40  # bytes of the file in the first sealed part of 5 MiB
LATER_PART = 5 * (MiB - 16)
SIZES = sorted(
    {
        0,
        1,
        FIRST_SEGMENT - 1,
        FIRST_SEGMENT,
        FIRST_SEGMENT + 1,
        THRESHOLD - 1,
        THRESHOLD,
        THRESHOLD + 1,
        SEALED_PART - 1,
        SEALED_PART,
        SEALED_PART + 1,
        SEALED_PART + LATER_PART - 1,
        SEALED_PART + LATER_PART,
        SEALED_PART + LATER_PART + 1,
        10 * MiB - 1,
        10 * MiB,
        10 * MiB + 1,
    }
)
WAYS: dict[str, dict[str, t.Any]] = {
    "sealed, opened as parts come": {},
    "sealed until the end": {"release_key": "at_stitch"},
    "plain": {"encrypt": False},
}


def assert_published(service: Service, path: str, source: Path, result: dict[str, t.Any]) -> None:
    published = service.root / path
    assert published.stat().st_size == source.stat().st_size == result["size"]
    assert sha256_of(published) == sha256_of(source) == result["sha256"]
    assert service.leftovers() == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", SIZES)
def test_a_file_of_any_size_arrives_whole(client: Client, service: Service, work: Path, size: int, way: str) -> None:
    source = make_file(work / "file.bin", size, seed=size)
    result = client.upload(source, part_size="5M", **WAYS[way])
    assert_published(service, "file.bin", source, result)
    assert result["changed"] is True
    assert result["encrypted"] is (way != "plain")
    assert client.journal_keys() == [f"digest:{source}"]


@pytest.mark.parametrize("way", WAYS)
def test_a_gigabyte_arrives_whole(client: Client, service: Service, work: Path, way: str) -> None:
    source = make_file(work / "large.bin", 1 << 30)
    result = client.upload(source, **WAYS[way])
    assert_published(service, "large.bin", source, result)
    assert result["parts_sent"] == result["parts"] >= 64


@pytest.mark.parametrize(("split", "parts"), [(1, 1), (3, 3), (1000, 5)])
def test_split_is_the_number_of_parts_as_far_as_five_mebibytes_allow(
    client: Client, service: Service, work: Path, split: int, parts: int
) -> None:
    source = make_file(work / "split.bin", 24 * MiB)
    result = client.upload(source, split=split)
    assert result["parts"] == parts
    assert_published(service, "split.bin", source, result)


NAMES = [
    "with spaces in it.dmp",
    "Größe mit Umläuten ß.dmp",
    "emoji 🚀 and 文件.bin",
    "-rf --leading-dashes",
    "percent%20 question? hash# plus+ semi; quote' back\\slash",
    "..hidden...dots..",
    "n" * 255,
    "é" * 127,
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1000, 6 * MiB])
def test_a_file_of_any_name_arrives_under_that_name(client: Client, service: Service, work: Path, name: str, size: int) -> None:
    source = make_file(work / name, size)
    result = client.upload(source)
    assert result["path"] == name
    assert_published(service, name, source, result)
    assert client.upload(source)["changed"] is False


def test_a_trailing_slash_means_into_this_folder(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "export.dmp", 100)
    result = client.upload(source, dest="dumps/2026/")
    assert result["path"] == "dumps/2026/export.dmp"
    assert_published(service, "dumps/2026/export.dmp", source, result)


def test_the_url_in_the_result_gives_the_file_back(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "wo ist ä?.bin", 6 * MiB)
    result = client.upload(source, dest="a b/")
    answer = service.call("GET", result["url"].removeprefix(service.url), headers={"Range": "bytes=100-199"})
    assert answer.status_code == 206
    assert answer.content == source.read_bytes()[100:200]


def test_a_users_key_seals_and_is_kept_nowhere(client: Client, service: Service, work: Path) -> None:
    import base64

    key = base64.b64encode(os.urandom(32)).decode()
    source = make_file(work / "keyed.bin", 6 * MiB)
    result = client.upload(source, encryption_key=key)
    assert_published(service, "keyed.bin", source, result)
    assert base64.b64decode(key) not in client.journal.read_bytes()


def test_the_mode_of_the_published_file_is_the_one_asked_for_and_can_change(client: Client, service: Service, work: Path) -> None:
    for name, size in (("small.bin", 10), ("large.bin", 6 * MiB)):
        source = make_file(work / name, size)
        client.upload(source, mode="0604")
        assert (service.root / name).stat().st_mode & 0o777 == 0o604
        changed = client.upload(source, mode="0640")
        assert changed["changed"] is True and changed["parts_sent"] == 0
        assert (service.root / name).stat().st_mode & 0o777 == 0o640
        assert client.upload(source, mode="0640")["changed"] is False


def test_force_false_leaves_a_published_file_alone(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "kept.bin", 6 * MiB)
    client.upload(source)
    before = sha256_of(service.root / "kept.bin")
    make_file(source, 6 * MiB, seed=2)
    assert client.upload(source, force=False)["changed"] is False
    assert sha256_of(service.root / "kept.bin") == before
    assert client.upload(source)["changed"] is True
    assert sha256_of(service.root / "kept.bin") == sha256_of(source)


def test_absent_deletes_what_is_published_and_then_finds_nothing(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "gone.bin", 6 * MiB)
    client.upload(source, dest="x/gone.bin")
    for changed in (True, False):
        run = client.run(dest="x/gone.bin", state="absent")
        assert run.code == 0 and run.result["changed"] is changed, run.text
    assert not (service.root / "x" / "gone.bin").exists()


def test_folders_are_made_and_deleted_and_only_recursively_when_full(client: Client, service: Service, work: Path) -> None:
    def folder(**options: t.Any) -> t.Any:
        return client.run("oci_upload_folder", path="deep/er", **options)

    assert [folder().result["changed"] for unused in range(2)] == [True, False]
    client.upload(make_file(work / "in.bin", 10), dest="deep/er/")
    kept = folder(state="absent")
    assert kept.result["failed"] and "recursive" in kept.result["msg"]
    assert [folder(state="absent", recursive=True).result["changed"] for unused in range(2)] == [True, False]
    assert not (service.root / "deep" / "er").exists()


def test_the_info_module_tells_what_is_published(client: Client, work: Path) -> None:
    source = make_file(work / "told.bin", 6 * MiB)
    client.upload(source)
    info = client.info(path="told.bin")
    assert info["pending"] == []
    assert (info["file"]["size"], info["file"]["sha256"]) == (6 * MiB, sha256_of(source))
    assert client.info(path="nothing.bin")["file"] is None
