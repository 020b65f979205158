"""Memory does not grow with the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .conftest import Client, MiB, Service, make_file

SIZE = 4 << 30
CLIENT_LIMIT, SERVICE_LIMIT = 120 * MiB, 150 * MiB


@pytest.mark.parametrize("release_key", ["with_parts", "at_stitch"])
def test_four_gibibytes_on_sixteen_threads_stay_within_the_promised_memory(base: Path, release_key: str) -> None:
    service = Service(base / f"memory-{release_key}" / "service").start()
    client = Client(base / f"memory-{release_key}" / "client", service)
    source = make_file(client.folder / "large.bin", 64 * MiB)
    try:
        # Real bytes where they matter, holes for the rest: the service cannot tell, and it spares the disk.
        os.truncate(source, SIZE)
        run = client.finish(client.start(src=str(source), threads=16, release_key=release_key), timeout=600)
        peak = service.peak_memory()
        assert run.code == 0, run.text
        assert run.result["size"] == SIZE == (service.root / "large.bin").stat().st_size
        print(
            f"\n4 GiB, 16 threads, {release_key}: client {run.peak / MiB:.0f} MiB, service {peak / MiB:.0f} MiB peak resident; "
            f"{run.seconds:.0f} s, {SIZE / MiB / run.seconds:.0f} MiB/s"
        )
        assert run.peak <= CLIENT_LIMIT
        assert peak <= SERVICE_LIMIT
    finally:
        service.stop()
        source.unlink()
        (service.root / "large.bin").unlink(missing_ok=True)
