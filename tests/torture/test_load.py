"""Many at once: no error, memory inside its bound, and nobody waits much longer than the others."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from ansible_collections.bigfile.oci.tests.integration.conftest import MiB, Service, make_file, sha256_of

from .conftest import Figures
from .rig import WrongClient

IDLE, HEADROOM = 75 * MiB, 60 * MiB
"""What the service takes before it does anything, and what threads, digests and JSON may take besides one segment for each connection."""
THREADS = 2


def bound(connections: int) -> int:
    """Bytes that the service may have resident with so many connections, as docs/service.md has it."""
    return IDLE + HEADROOM + connections * MiB


def test_many_uploads_at_once_from_as_many_processes(long: bool, tmp_path: Path, figures: Figures) -> None:
    count, size = (64, 16 * MiB) if long else (8, 11 * MiB)
    service = Service(tmp_path / "service").start()
    try:
        sources = [make_file(tmp_path / f"source{number}.bin", size, seed=number) for number in range(count)]
        clients = [WrongClient(tmp_path / f"client{number}", service) for number in range(count)]
        begin = time.monotonic()
        processes = [
            client.set_out(source, part_size="5M", threads=THREADS, timeout=120) for client, source in zip(clients, sources, strict=True)
        ]
        runs = [client.finish(process) for client, process in zip(clients, processes, strict=True)]
        seconds = time.monotonic() - begin
        assert [run.text for run in runs if run.code] == []
        for source in sources:
            assert sha256_of(service.root / source.name) == sha256_of(source)
        durations = sorted(run.result["duration"] for run in runs)
        peak = service.peak_memory()
        assert peak < bound(count * THREADS)
        assert durations[-1] < 10 * max(1.0, statistics.median(durations)), "somebody had to wait much longer than the others"
        assert service.leftovers() == []
    finally:
        service.stop()
    figures(
        what="uploads at once", count=count, size=size, seconds=seconds, peak=peak, bound=bound(count * THREADS),
        durations=[durations[0], statistics.median(durations), durations[-1]], client=max(run.peak for run in runs),
    )  # fmt: skip


def test_many_small_files(long: bool, tmp_path: Path, figures: Figures) -> None:
    count, processes, size = (1000, 8, 64 << 10) if long else (60, 2, 64 << 10)
    service = Service(tmp_path / "service").start()
    client = WrongClient(tmp_path / "client", service)
    try:
        sources = [make_file(tmp_path / "sources" / f"{number:04}.bin", size, seed=number) for number in range(count)]
        options = {"endpoint": service.url, "username": "dba", "password": service.password, "retries": 3}
        begin = time.monotonic()
        running = []
        for turn in range(processes):
            orders = [
                {**options, "src": str(source), "journal": str(tmp_path / f"journal{turn}.db")} for source in sources[turn::processes]
            ]
            command = [sys.executable, "-m", "ansible_collections.bigfile.oci.tests.bench.engine"]
            one = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=client.environment())
            assert one.stdin is not None
            one.stdin.write(json.dumps(orders).encode())
            one.stdin.close()
            running.append(one)
        results = [json.loads(one.stdout.read()) for one in running if one.stdout]
        assert [one.wait(60) for one in running] == [0] * processes
        seconds = time.monotonic() - begin
        assert sum(len(result["results"]) for result in results) == count
        for source in sources:
            assert sha256_of(service.root / source.name) == sha256_of(source)
        peak = service.peak_memory()
        assert peak < bound(processes)
        assert service.leftovers() == [] and os.listdir(service.state / "uploads") == []
    finally:
        service.stop()
    figures(what="small files", count=count, size=size, seconds=seconds, peak=peak, bound=bound(processes))
