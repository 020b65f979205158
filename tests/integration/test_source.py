"""The source changes: old parts are never used, nothing mixed is ever published."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from .conftest import Client, MiB, Service, make_file, sha256_of, until
from .test_crash import received


def interrupted(client: Client, service: Service, source: Path) -> dict[str, object]:
    """An upload killed in its middle; its journal entry."""
    process = client.start(src=str(source), part_size="5M", rate_limit="30M")
    until(lambda: received(service) >= 3)
    os.killpg(process.pid, signal.SIGKILL)
    client.finish(process)
    (entry,) = client.pending_entries()
    return entry


def test_a_source_replaced_between_two_runs_begins_anew_with_a_new_key(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "replaced.bin", 60 * MiB, seed=1)
    old = interrupted(client, service, source)
    make_file(work / "new", 60 * MiB, seed=2)
    os.replace(work / "new", source)
    process = client.start(src=str(source), part_size="5M", rate_limit="30M")
    while ((new := client.pending_entries()) and new[0]["id"] == old["id"]) or not new:
        time.sleep(0.01)
    run = client.finish(process)
    assert run.code == 0 and run.result["resumed"] is False and run.result["parts_present"] == 0, run.text
    assert run.result["upload_id"] == new[0]["id"] != old["id"]
    assert new[0]["key"] != old["key"] and new[0]["header"] != old["header"]
    assert service.call("GET", f"/v1/uploads/{old['id']}").status_code == 404
    assert sha256_of(service.root / "replaced.bin") == sha256_of(source)
    assert service.leftovers() == []


def test_a_source_written_to_during_the_run_publishes_nothing(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "written.bin", 60 * MiB)
    process = client.start(src=str(source), part_size="5M", rate_limit="30M")
    until(lambda: received(service) >= 3)
    with source.open("r+b") as file:
        file.seek(50 * MiB)
        file.write(b"changed in the middle of it")
    run = client.finish(process)
    assert run.result["failed"] and "changed while it was read; nothing was published" in run.result["msg"], run.text
    assert not (service.root / "written.bin").exists()
    assert service.leftovers() == []
    assert not [key for key in client.journal_keys() if not key.startswith("digest:")]
    client.upload(source, part_size="5M")
    assert sha256_of(service.root / "written.bin") == sha256_of(source)


def test_a_source_that_becomes_shorter_during_the_run_publishes_nothing(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "shorter.bin", 60 * MiB)
    process = client.start(src=str(source), part_size="5M", rate_limit="30M")
    until(lambda: received(service) >= 3)
    os.truncate(source, 20 * MiB)
    run = client.finish(process)
    assert run.result["failed"] and "nothing was published" in run.result["msg"], run.text
    assert not (service.root / "shorter.bin").exists()


def test_another_way_of_sealing_begins_anew(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "sealing.bin", 60 * MiB)
    interrupted(client, service, source)
    result = client.upload(source, part_size="5M", encrypt=False)
    assert (result["resumed"], result["parts_present"], result["encrypted"]) == (False, 0, False)
    assert sha256_of(service.root / "sealing.bin") == sha256_of(source)
    assert service.leftovers() == []


def test_a_pending_upload_keeps_the_parts_it_was_begun_with(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "planned.bin", 60 * MiB)
    interrupted(client, service, source)
    result = client.upload(source, part_size="16M")
    assert result["resumed"] is True and result["part_size"] == 5 * MiB and result["parts_present"] >= 3
    assert sha256_of(service.root / "planned.bin") == sha256_of(source)
