"""Many at one thing at a time: the outcomes that docs/protocol.md defines."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
import typing as t
from pathlib import Path

import pytest
import requests

from ansible_collections.bigfile.oci.tests.integration.conftest import make_file, sha256_of

from .conftest import Figures
from .rig import Scene, WrongClient
from .steps import LATE, OPTIONS, MiB


@pytest.fixture
def scenes(tmp_path: Path) -> t.Iterator[t.Callable[..., Scene]]:
    made: list[Scene] = []

    def scene(**settings: t.Any) -> Scene:
        made.append(Scene(tmp_path, **settings))
        made[-1].service.start()
        return made[-1]

    yield scene
    for one in made:
        one.service.stop()


Scenes = t.Callable[..., Scene]


def test_two_clients_to_one_destination_both_succeed_and_readers_see_the_last_whole(scenes: Scenes, figures: Figures) -> None:
    scene = scenes()
    sources = [make_file(scene.folder / f"source{number}.bin", 22 * MiB, seed=number) for number in (11, 12, 13)]
    clients = [WrongClient(scene.folder / f"client{number}", scene.service) for number in range(3)]
    runs = [client.set_out(source, **OPTIONS) for client, source in zip(clients, sources, strict=True)]
    seen = set()
    while any(run.poll() is None for run in runs):
        seen.add(sha256_of(scene.published))
    ended = [client.finish(run) for client, run in zip(clients, runs, strict=True)]
    assert [run.code for run in ended] == [0, 0, 0], [run.text for run in ended]
    digests = {sha256_of(source) for source in sources}
    assert seen <= digests | {scene.old_digest}
    assert sha256_of(scene.published) in digests
    assert scene.service.leftovers() == []
    figures(what="three clients, one destination")


def test_stitching_asked_for_many_times_at_once_publishes_once(scenes: Scenes, figures: Figures) -> None:
    scene = scenes()
    data = os.urandom(12 * MiB)
    begun = {"path": "dumps/exp.bin", "size": len(data), "part_size": 5 * MiB, "parts": 3, "sealing": None, "release_key": "with_parts"}
    upload_id = scene.service.call("POST", "/v1/uploads", json={**begun, "source": ""}).json()["id"]
    for number in (1, 2, 3):
        scene.service.call("PUT", f"/v1/uploads/{upload_id}/parts/{number}", data=data[(number - 1) * 5 * MiB : number * 5 * MiB])
    source = scene.folder / "source.bin"
    source.write_bytes(data)
    asked = {"name": "exp.bin", "size": len(data), "sha256": sha256_of(source), "key": None}
    answers = []

    def stitch() -> None:
        answers.append(scene.service.call("POST", f"/v1/uploads/{upload_id}/stitch", json=asked, headers={"Prefer": "wait=10"}))

    threads = [threading.Thread(target=stitch) for _each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    assert len({str(answer.json()["receipt"]) for answer in answers}) == 1
    scene.complete(source)
    figures(what="stitch eight times at once")


def test_what_is_deleted_during_an_upload_and_what_is_not(scenes: Scenes, figures: Figures) -> None:
    scene = scenes()
    source = scene.source(22 * MiB)
    process = scene.client.set_out(source, **OPTIONS, rate_limit="4M")
    scene.client.until_noted(1)
    assert scene.service.call("DELETE", "/v1/folders/dumps?recursive=true").json()["type"].endswith(":folder-in-use")
    assert scene.service.call("DELETE", "/v1/files/dumps/exp.bin").status_code == 204
    assert not scene.published.exists()
    assert scene.client.finish(process).code == 0
    scene.complete(source)
    figures(what="the file deleted, its folder not")


def test_an_upload_that_somebody_aborts_is_told_so_and_the_next_run_begins_anew(scenes: Scenes, figures: Figures) -> None:
    scene = scenes()
    source = scene.source(22 * MiB)
    process = scene.client.set_out(source, **OPTIONS, rate_limit="1M")  # so slow that the other is there long before the end
    scene.client.until_noted(1)
    other = WrongClient(scene.folder / "other", scene.service)
    assert other.run(state="absent", dest="dumps/exp.bin").code == 0
    run = scene.client.finish(process)
    assert run.code == 1 and "there is no upload" in run.result["msg"], run.text
    assert not scene.published.exists()
    assert scene.service.leftovers() == []
    run = scene.client.tell(source, **OPTIONS)
    assert run.code == 0 and not run.result["resumed"], run.text
    scene.complete(source)
    figures(what="aborted in mid-upload")


def test_a_file_that_is_replaced_while_it_is_read_is_read_to_its_end(scenes: Scenes, figures: Figures) -> None:
    scene = scenes()
    make_file(scene.published, 24 * MiB, seed=2)
    old, source = sha256_of(scene.published), scene.source(12 * MiB)
    headers = {"Authorization": f"Bearer {scene.service.token()}"}
    with requests.get(f"{scene.service.url}/v1/files/dumps/exp.bin", headers=headers, stream=True, timeout=60) as answer:
        blocks = answer.iter_content(MiB)
        digest = hashlib.sha256(next(blocks))
        assert scene.client.tell(source, **OPTIONS).code == 0
        for block in blocks:
            digest.update(block)
    assert digest.hexdigest() == old
    scene.complete(source)
    figures(what="read while replaced")


@pytest.mark.long
def test_an_upload_that_expires_in_the_middle_is_told_so_and_one_that_moves_does_not_expire(scenes: Scenes, figures: Figures) -> None:
    scene = scenes(upload_age=2, body_timeout=3)
    source = scene.source(22 * MiB)
    slow = {**OPTIONS, "part_size": "8M", "threads": 1}
    run = scene.client.tell(source, **slow, rate_limit="3M")  # a part takes longer than an upload may be old
    assert run.code == 0, run.text
    scene.complete(source)
    source.write_bytes(os.urandom(22 * MiB))
    process = scene.client.set_out(source, **OPTIONS, **LATE, rate_limit="8M")
    scene.client.until_noted(1)
    os.killpg(process.pid, signal.SIGSTOP)
    deadline = time.monotonic() + 60
    while scene.service.leftovers() and time.monotonic() < deadline:
        time.sleep(0.1)
        # what the frozen client has under way keeps the upload until the service gives up on it
    os.killpg(process.pid, signal.SIGCONT)
    run = scene.client.finish(process)
    assert run.code == 1 and "there is no upload" in run.result["msg"], run.text
    run = scene.client.tell(source, **OPTIONS, **LATE)
    assert run.code == 0, run.text
    scene.complete(source)
    figures(what="expired in mid-upload")
