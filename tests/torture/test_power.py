"""The power goes: what was not synced is lost. A published file is whole, and whatever else is lost the next run sends again."""

from __future__ import annotations

import contextlib
import os
import signal
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bigfile.oci.tests.integration.conftest import sha256_of

from .conftest import Figures
from .disks import Disk
from .rig import Scene
from .steps import LATE, OPTIONS, PLAIN, SEALED, SERVICE, MiB, Step

FEW = (
    "part: between proof and acknowledgement",
    "publishing: between rename and record",
)
"""Steps of the short form."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "step" in metafunc.fixturenames:
        long = metafunc.config.getoption("long")
        metafunc.parametrize("step", [step for step in SERVICE if step.name in FEW or long], ids=str)


@pytest.fixture
def disk(tmp_path: Path) -> t.Iterator[Disk]:
    found = Disk(tmp_path / "disk", 96)
    yield found
    found.unmount()


@pytest.fixture
def scene(tmp_path: Path, disk: Disk) -> t.Iterator[Scene]:
    """Service, journal and all, on the disk, at rest."""
    found = Scene(tmp_path, disk.path)
    found.service.start()
    found.service.stop()
    disk.sync()
    yield found
    found.service.stop()


def test_a_power_cut_at_a_step_leaves_whole_files_and_the_next_run_completes(
    step: Step, scene: Scene, disk: Disk, figures: Figures
) -> None:
    source = scene.source(step.size)
    scene.service.start(crash=step.crash)
    process = scene.client.set_out(source, **OPTIONS, **step.options)
    scene.service.died()
    disk.cut_the_power()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    scene.client.finish(process)
    disk.restart()
    scene.whole(source)
    scene.service.start()
    assert scene.client.tell(source, **OPTIONS, **step.options).code == 0
    scene.sweep()  # of small files, whose records are not synced, a power cut leaves something behind
    scene.complete(source)
    figures(step=step.name)


@pytest.mark.parametrize(
    "options", [SEALED, *(pytest.param(one, marks=pytest.mark.long) for one in (LATE, PLAIN))], ids=["sealed", "late", "plain"]
)
@pytest.mark.parametrize("size", [MiB, pytest.param(18 * MiB, marks=pytest.mark.long)], ids=["small", "large"])
def test_what_was_told_to_be_published_survives_a_power_cut(
    size: int, options: dict[str, t.Any], scene: Scene, disk: Disk, figures: Figures
) -> None:
    source = scene.source(size)
    scene.service.start()
    assert scene.client.tell(source, **OPTIONS, **options).code == 0
    disk.cut_the_power()
    scene.service.kill()
    disk.restart()
    assert sha256_of(scene.published) == sha256_of(source)
    scene.service.start()
    assert scene.client.tell(source, **OPTIONS, **options).code == 0
    scene.sweep()
    scene.complete(source)
    figures(step="after the receipt")
