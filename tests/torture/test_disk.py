"""Disks that are full, read-only, broken, or lie: a clear error, and the next run completes when the disk is well again."""

from __future__ import annotations

import random
import typing as t
from pathlib import Path

import pytest
import requests

from ansible_collections.bigfile.oci.tests.integration.conftest import sha256_of

from .conftest import Figures
from .disks import Disk
from .rig import Scene
from .steps import LATE, OPTIONS, PLAIN, SEALED, MiB

SIZE = 33 * MiB
IMPATIENT = {**OPTIONS, "retries": 1, "timeout": 5}
FAILURES = [
    ("oracle_assembler.store.whole:write_whole before {} ENOSPC", "a record or a proof finds the disk full"),
    ("oracle_assembler.store.opening:write_all before {} EDQUOT", "a segment finds the quota of the file system reached"),
    ("oracle_assembler.store.opening:write_all before {} EIO", "a segment cannot be written"),
    ("os:fsync before {} EIO", "a sync fails"),
    ("os:preadv before {} EIO", "the partial file cannot be read"),
    ("os:rename before {} EROFS", "a rename finds the disk read-only"),
    ("os:fchmod before {} EPERM", "a mode cannot be set"),
    ("os:mkdir before {} EACCES", "a folder cannot be made"),
    ("os:open before {} EMFILE", "there are no descriptors left"),
]
"""As launch.py wants it, from which call on it fails; and what it means."""


@pytest.fixture
def disks(tmp_path: Path) -> t.Iterator[t.Callable[..., Disk]]:
    made: list[Disk] = []

    def disk(name: str, size: int, kind: str = "ext4") -> Disk:
        made.append(Disk(tmp_path / name, size, kind))
        return made[-1]

    yield disk
    for one in made:
        one.unmount()


@pytest.fixture
def scenes(tmp_path: Path, disks: t.Any) -> t.Iterator[t.Callable[..., Scene]]:
    """Scenes whose service ends before their disks go."""
    made: list[Scene] = []

    def scene(root: Path | None = None, **settings: t.Any) -> Scene:
        made.append(Scene(tmp_path / f"scene{len(made)}", root, **settings))
        return made[-1]

    yield scene
    for one in made:
        one.service.stop()


Disks, Scenes = t.Callable[..., Disk], t.Callable[..., Scene]


def test_a_full_disk_is_told_at_the_beginning_and_the_upload_goes_when_there_is_room(
    disks: Disks, scenes: Scenes, figures: Figures
) -> None:
    disk = disks("disk", 64)
    scene = scenes(disk.path)
    scene.service.start()
    source = scene.source(SIZE)
    ballast = disk.fill(leave=8 * MiB)
    message = scene.client.tell(source, **IMPATIENT).result["msg"]
    assert "507" in message and "room" in message
    assert scene.service.leftovers() == []
    ballast.unlink()
    assert scene.client.tell(source, **IMPATIENT).code == 0
    scene.complete(source)
    figures(what="data folder full")


@pytest.mark.long
def test_a_state_folder_without_room_is_told_and_costs_nothing(disks: Disks, scenes: Scenes, figures: Figures) -> None:
    disk = disks("state", 4)
    scene = scenes(state_dir=str(disk.path / "state"))
    scene.service.state = disk.path / "state"
    scene.service.start()
    source = scene.source(SIZE)
    ballast = disk.fill()
    message = scene.client.tell(source, **IMPATIENT).result["msg"]
    assert "507" in message and "room" in message
    assert scene.service.leftovers() == []
    ballast.unlink()
    assert scene.client.tell(source, **IMPATIENT).code == 0
    scene.complete(source)
    figures(what="state folder full")


def test_a_disk_that_cannot_reserve_and_fills_up_meanwhile_costs_no_part(disks: Disks, scenes: Scenes, figures: Figures) -> None:
    disk = disks("disk", 64, "ext2")
    scene = scenes(disk.path)
    scene.client.journal = scene.folder / "journal.db"
    scene.service.start()
    source = scene.source(SIZE)
    process = scene.client.set_out(source, **IMPATIENT, rate_limit="6M")
    scene.client.until_noted(2)
    ballast = disk.fill()
    run = scene.client.finish(process)
    assert "507" in run.result["msg"], run.text
    ballast.unlink()
    run = scene.client.tell(source, **IMPATIENT)
    assert run.code == 0 and run.result["parts_present"] >= 2, run.text
    scene.complete(source)
    figures(what="full in mid-upload")


def test_a_disk_that_breaks_in_mid_upload_is_told_and_when_it_is_mended_the_next_run_completes(
    disks: Disks, scenes: Scenes, figures: Figures
) -> None:
    disk = disks("disk", 96)
    scene = scenes(disk.path / "kept")
    scene.client.journal = scene.folder / "journal.db"
    scene.service.start()
    source = scene.source(SIZE)
    disk.sync()
    process = scene.client.set_out(source, **IMPATIENT, rate_limit="6M")
    scene.client.until_noted(2)
    disk.cut_the_power()
    run = scene.client.finish(process)
    assert run.code == 1 and "storage" in run.result["msg"], run.text
    assert requests.get(f"{scene.service.url}/healthz", timeout=10).status_code == 503
    scene.service.kill()
    disk.restart()
    scene.whole(source)
    scene.service.start()
    run = scene.client.tell(source, **IMPATIENT)
    assert run.code == 0, run.text
    scene.complete(source)
    figures(what="every call an I/O error")


def test_a_service_on_a_read_only_disk_refuses_clearly(disks: Disks, scenes: Scenes, figures: Figures) -> None:
    disk = disks("disk", 96)
    scene = scenes(disk.path, state_dir=str(disk.path.parent / "state"))  # the service holds its lock open, which keeps a disk busy
    scene.client.journal = scene.folder / "journal.db"
    scene.service.start()
    source = scene.source(SIZE)
    disk.allow("ro")
    assert requests.get(f"{scene.service.url}/healthz", timeout=10).status_code == 503
    assert "EROFS" in scene.client.tell(source, **IMPATIENT).result["msg"]
    disk.allow("rw")
    assert scene.client.tell(source, **IMPATIENT).code == 0
    scene.complete(source)
    figures(what="read-only")


@pytest.mark.parametrize(
    "failure",
    [pytest.param(failure, id=failure[1], marks=[] if failure[0].startswith("os:fsync") else [pytest.mark.long]) for failure in FAILURES],
)
def test_a_failing_call_is_told_and_the_next_run_completes(failure: tuple[str, str], long: bool, scenes: Scenes, figures: Figures) -> None:
    """From the first call on, and from later ones; a client that goes on alone is as good."""
    for number in (1, 2, 5, 20) if long else (2,):
        scene = scenes()
        scene.service.start()
        scene.service.stop()
        source = scene.source(12 * MiB)
        try:
            scene.service.start(fail=failure[0].format(number))
        except RuntimeError:
            assert "Traceback" not in scene.service.log.read_text() or number <= 2
        else:
            scene.client.tell(source, **IMPATIENT, **LATE)
            scene.whole(source)
        scene.service.kill()
        scene.service.start()
        assert scene.client.tell(source, **IMPATIENT, **LATE).code == 0
        scene.complete(source)
        figures(what=f"{failure[1]}, from call {number}")


@pytest.mark.parametrize(
    "options", [*(pytest.param(one, marks=pytest.mark.long) for one in (SEALED, PLAIN)), LATE], ids=["sealed", "plain", "late"]
)
@pytest.mark.parametrize("where", ["partial file", pytest.param("proof", marks=pytest.mark.long)])
def test_a_bit_that_flips_costs_its_own_part_alone(
    where: str, options: dict[str, t.Any], scenes: Scenes, long: bool, figures: Figures
) -> None:
    scene = scenes()
    scene.service.start()
    chance = random.Random(20261124)
    for turn in range(6 if long else 1):
        source = scene.source(SIZE)
        source.write_bytes(source.read_bytes() + bytes([turn]))
        process = scene.client.set_out(source, **IMPATIENT, **options, rate_limit="7M")
        scene.client.until_noted(3)
        process.terminate()
        scene.client.finish(process)
        scene.service.kill()  # else it may take the bytes that it hashed already from its memory
        (partial,) = scene.service.data.rglob("*.partial")
        proofs = sorted(partial.with_suffix(".segments").iterdir())
        proof = chance.choice(proofs)
        number, parts = int(proof.stem), len(proofs)
        target, most = (partial, (number - 1) * 5 * MiB) if where == "partial file" else (proof, 0)
        flip(target, most + chance.randrange(min(4 * MiB, target.stat().st_size - most)), chance.randrange(8))
        damaged = 0 if where == "proof" and options != LATE else 1  # an open part whose proof is wrong is as good, and nobody looks
        scene.service.start()
        run = scene.client.tell(source, **IMPATIENT, **options)
        assert run.code == 0, run.text
        assert run.result["parts_sent"] == run.result["parts"] - parts + damaged, "more than the damaged part was sent again"
        scene.complete(source)
        figures(what=f"a bit flipped in the {where}")


def flip(path: Path, byte: int, bit: int) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as file:
        file.seek(byte)
        before = file.read(1)[0]
        file.seek(byte)
        file.write(bytes([before ^ 1 << bit]))


@pytest.mark.long
def test_a_journal_whose_disk_is_full_is_told_before_anything_is_sent(disks: Disks, scenes: Scenes, figures: Figures) -> None:
    disk = disks("journal", 4)
    scene = scenes()
    scene.service.start()
    source = scene.source(SIZE)
    scene.client.journal = disk.path / "journal" / "journal.db"
    ballast = disk.fill()
    run = scene.client.tell(source, **IMPATIENT)
    assert run.code == 1 and "journal" in run.result["msg"], run.text
    assert sha256_of(scene.published) == scene.old_digest
    ballast.unlink()
    assert scene.client.tell(source, **IMPATIENT).code == 0
    scene.complete(source)
    figures(what="journal's disk full")
