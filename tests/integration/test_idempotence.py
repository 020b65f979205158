"""Unchanged means no byte read and no byte sent; check mode changes nothing on either side."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import typing as t
from pathlib import Path

import pytest

from .conftest import Client, MiB, Service, make_file
from .test_source import interrupted

HOOK = """
import atexit, json, os, sys
reads, requests = [], []
watched, report = os.environ["WATCHED"], os.environ["REPORT"]
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)) and os.fsdecode(arguments[0]) == watched:
        reads.append(event)
    if event == "http.client.send" and isinstance(arguments[1], bytes) and b" HTTP/1.1" in arguments[1][:2000]:
        requests.append(arguments[1].split(b" HTTP/1.1")[0].decode())
sys.addaudithook(hook)
atexit.register(lambda: open(report, "w").write(json.dumps({"opened": len(reads), "requests": requests})))
"""
"""Python tells of each file it opens and each request it sends (PEP 578); this works without any tool."""


def observed(client: Client, source: Path, **options: t.Any) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """An upload, and what it opened and sent."""
    hooks = client.folder / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "sitecustomize.py").write_text(HOOK)
    report = client.folder / "observed.json"
    environment = client.environment(WATCHED=str(source), REPORT=str(report))
    environment["PYTHONPATH"] = f"{hooks}{os.pathsep}{environment.get('PYTHONPATH', '')}"
    run = client.finish(client.start(src=str(source), environment=environment, **options))
    assert run.code == 0, run.text
    return run.result, json.loads(report.read_text())


def snapshot(*folders: Path) -> dict[str, tuple[int, int, str]]:
    """Every file below with its size, time and digest."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".log"
    }


@pytest.mark.parametrize("size", [1000, 60 * MiB])
def test_the_second_run_reads_no_byte_of_the_source_and_sends_one_head(client: Client, work: Path, size: int) -> None:
    source = make_file(work / "same.bin", size)
    first, seen = observed(client, source)
    assert first["changed"] is True and seen["opened"] > 0, "the hook sees reads"
    second, seen = observed(client, source)
    assert second["changed"] is False and second["sha256"] == first["sha256"]
    assert seen["opened"] == 0
    assert [request.split()[0] for request in seen["requests"]] == ["POST", "HEAD"], "a token, then one HEAD"
    print(f"\nsecond run of {size} bytes: opened the source {seen['opened']} times, sent {seen['requests']}, {second['duration']} s")


def test_strace_agrees_that_the_second_run_does_not_open_the_source(client: Client, work: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        assert not os.environ.get("CI"), "CI installs strace"
        pytest.skip("strace is not installed; the audit hook of the test above shows the same")
    source = make_file(work / "traced.bin", 6 * MiB)
    trace = client.folder / "trace"
    opened = []
    for _attempt in range(2):
        command = [strace, "-f", "-e", "trace=open,openat,openat2", "-o", str(trace)]
        run = client.finish(client.start(src=str(source), before=command))
        assert run.code == 0, run.text
        opened.append(len(re.findall(rf'"{re.escape(str(source))}"', trace.read_text())))
    assert opened[0] > 0 and opened[1] == 0


def test_verify_always_reads_the_source_again(client: Client, work: Path) -> None:
    source = make_file(work / "verified.bin", 6 * MiB)
    client.upload(source)
    result, seen = observed(client, source, verify="always")
    assert result["changed"] is False and seen["opened"] > 0


def test_a_touched_source_is_read_again_and_not_sent(client: Client, work: Path) -> None:
    source = make_file(work / "touched.bin", 6 * MiB)
    client.upload(source)
    os.utime(source)
    result, seen = observed(client, source)
    assert result["changed"] is False and seen["opened"] > 0
    assert not [request for request in seen["requests"] if request.startswith("PUT")]


def test_a_published_file_that_was_changed_on_the_host_is_replaced(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "meddled.bin", 6 * MiB)
    client.upload(source)
    with (service.root / "meddled.bin").open("r+b") as file:
        file.write(b"meddled")
    assert client.upload(source)["changed"] is True
    assert (service.root / "meddled.bin").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("size", [1000, 60 * MiB])
def test_check_mode_of_a_new_upload_changes_nothing_and_says_what_it_would_send(
    client: Client, service: Service, work: Path, size: int
) -> None:
    source = make_file(work / "new.bin", size)
    before = snapshot(service.folder, client.folder)
    result = client.upload(source, check_mode=True, diff=True, part_size="5M")
    (client.folder / "transcript.txt").unlink()
    assert snapshot(service.folder, client.folder) == before
    assert result["changed"] is True and result["parts_sent"] == result["parts"] and result["bytes_sent"] >= size
    assert result["diff"]["before"] == "absent\n" and f"size: {size}" in result["diff"]["after"]


def test_check_mode_of_a_half_done_upload_changes_nothing_and_tells_how_far_it_is(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "half.bin", 60 * MiB)
    interrupted(client, service, source)
    (client.folder / "transcript.txt").unlink()
    before = snapshot(service.folder, client.folder)
    result = client.upload(source, check_mode=True, diff=True)
    (client.folder / "transcript.txt").unlink()
    assert snapshot(service.folder, client.folder) == before
    assert result["resumed"] is True and result["parts_present"] >= 3
    assert result["parts_sent"] == result["parts"] - result["parts_present"]
    assert re.search(rf"^{result['parts_present']} of {result['parts']} parts, [0-9.]+ MiB$", result["diff"]["before"], re.MULTILINE)
    info = client.info(path="half.bin")
    (pending,) = info["pending"]
    assert (pending["parts_present"], pending["parts"], pending["state"]) == (
        result["parts_present"],
        result["parts"],
        "receiving",
    )
    assert pending["journaled"] is True and pending["source"] == str(source)
    client.upload(source)


def test_check_mode_of_a_finished_upload_says_unchanged(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "done.bin", 60 * MiB)
    first = client.upload(source)
    (client.folder / "transcript.txt").unlink()
    before = snapshot(service.folder, client.folder)
    result = client.upload(source, check_mode=True, diff=True)
    (client.folder / "transcript.txt").unlink()
    assert snapshot(service.folder, client.folder) == before
    assert result["changed"] is False and result["sha256"] == first["sha256"]
    assert result["diff"]["before"] == result["diff"]["after"]


def test_check_mode_of_absent_deletes_nothing(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "stays.bin", 6 * MiB)
    client.upload(source)
    run = client.run(dest="stays.bin", state="absent", check_mode=True, diff=True)
    assert run.result["changed"] is True and run.result["diff"]["after"] == "absent\n"
    assert (service.root / "stays.bin").exists()


def test_absent_aborts_what_is_pending(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "dropped.bin", 60 * MiB)
    interrupted(client, service, source)
    run = client.run(src=str(source), state="absent")
    assert run.code == 0 and run.result["changed"] is True, run.text
    assert service.leftovers() == []
    assert client.journal_keys() == []
