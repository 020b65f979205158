"""SIGKILL of the client, of the service, of both at once, at each step there is. test_crash.py has those at random times."""

from __future__ import annotations

import itertools
import os
import signal
import time
import typing as t
from pathlib import Path

import pytest

from .conftest import Figures
from .rig import KILLED, Scene
from .steps import CALLS, CLIENTS, ENDING, LATE, OPTIONS, SERVICE, MiB, Step


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    tables = {"ending": ENDING, "client_step": CLIENTS}
    long = metafunc.config.getoption("long")
    if "step" in metafunc.fixturenames:
        few = [step for step in SERVICE if step.always]
        pairs = itertools.product(SERVICE, (False, True)) if long else zip(few, itertools.cycle((False, True)), strict=False)
        cases = [pytest.param(step, both, id=f"{step}, {'both' if both else 'service'}") for step, both in pairs]
        metafunc.parametrize(("step", "both"), cases)
    for name, table in tables.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, [step for step in table if step.always or long], ids=str)
    if "call" in metafunc.fixturenames:
        metafunc.parametrize("call", CALLS)


@pytest.fixture
def scene(tmp_path: Path) -> t.Iterator[Scene]:
    found = Scene(tmp_path)
    yield found
    found.service.stop()


def test_a_service_killed_at_a_step_and_started_again_goes_on_from_there(step: Step, both: bool, scene: Scene, figures: Figures) -> None:
    source = scene.source(step.size)
    scene.service.start(crash=step.crash)
    process = scene.client.set_out(source, **OPTIONS, **step.options)
    scene.service.died()
    if both:
        os.killpg(process.pid, signal.SIGKILL)
        scene.client.finish(process)
    scene.whole(source)
    scene.service.start()
    run = scene.client.tell(source, **OPTIONS, **step.options) if both else scene.client.finish(process)
    assert run.code == 0, run.text
    scene.complete(source)
    figures(who="both" if both else "service", step=step.name)


def test_an_expiry_that_a_kill_cuts_off_is_finished_at_the_next_start(ending: Step, tmp_path: Path, figures: Figures) -> None:
    scene = Scene(tmp_path, upload_age=2)
    source = scene.source(18 * MiB)
    scene.service.start(crash=ending.crash)
    begun = {"path": "dumps/other.bin", "size": 6 * MiB, "part_size": 5 * MiB, "parts": 2, "sealing": None, "release_key": "with_parts"}
    answer = scene.service.call("POST", "/v1/uploads", json={**begun, "source": ""})
    assert answer.status_code == 201, answer.text
    upload_id = answer.json()["id"]
    scene.service.call("PUT", f"/v1/uploads/{upload_id}/parts/1", data=bytes(5 * MiB))
    scene.service.died()
    scene.service.start()
    try:
        assert scene.service.call("GET", f"/v1/uploads/{upload_id}").status_code == 404
        scene.whole(source)
        assert scene.client.tell(source, **OPTIONS).code == 0
        scene.complete(source)
    finally:
        scene.service.stop()
    figures(who="service", step=ending.name)


def test_a_client_killed_at_a_step_goes_on_from_there(client_step: Step, scene: Scene, figures: Figures) -> None:
    source = scene.source(client_step.size)
    scene.service.start()
    process = scene.client.set_out(source, wrong={"crash": client_step.crash}, **OPTIONS, **client_step.options)
    assert scene.client.finish(process).code == KILLED
    scene.whole(source)
    time.sleep(0.3)  # the service ends the requests that broke off
    acknowledged = sum(1 for path in scene.service.data.rglob("*") if path.suffix in (".opened", ".sealed"))
    run = scene.client.tell(source, **OPTIONS, **client_step.options)
    assert run.code == 0, run.text
    assert run.result["parts_present"] == acknowledged or not run.result["changed"]
    scene.complete(source)
    figures(who="client", step=client_step.name)


@pytest.mark.long
def test_a_service_killed_at_any_call_that_changes_its_disk_goes_on_from_there(call: str, tmp_path: Path, figures: Figures) -> None:
    """First one upload in peace, to count its calls; then one for each of them, killed behind it."""
    peace = Scene(tmp_path / "peace")
    source = peace.source(11 * MiB)
    trace = tmp_path / "trace"
    peace.service.start()
    peace.service.stop()
    peace.service.start(trace=str(trace), steps=[call])
    skipped = len(trace.read_text().splitlines())
    assert peace.client.tell(source, **OPTIONS, **LATE).code == 0
    peace.service.stop()
    count = len(trace.read_text().splitlines()) - skipped
    assert count > 0, "the service never calls it"
    for number in range(1, count + 1):
        scene = Scene(tmp_path / str(number))
        scene.service.start()
        scene.service.stop()
        scene.service.start(crash=f"{call} after {skipped + number}")
        process = scene.client.set_out(source, **OPTIONS, **LATE)
        while scene.service.is_alive() and process.poll() is None:
            time.sleep(0.02)
        if process.poll() == 0 and scene.service.is_alive():
            assert number > count - 3, "looks at its health call it too, and there may be one or two fewer of these"
            scene.client.finish(process)
            scene.service.stop()
            break
        scene.service.died()
        scene.whole(source)
        scene.service.start()
        try:
            run = scene.client.finish(process)
            assert run.code == 0, (number, run.text)
            scene.complete(source)
        finally:
            scene.service.stop()
        figures(who="service", step=f"behind {call} number {number}")
