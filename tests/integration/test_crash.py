"""Killed anywhere, run again: it continues and sends again at most one part per thread."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import threading
import time
from pathlib import Path

from .conftest import Client, MiB, Service, make_file, sha256_of

SIZE = 512 * MiB
PART = 16 * MiB
THREADS = 4
KILLS = 10
RATE = "160M"  # slow enough that a kill finds the upload under way, on any machine


def received(service: Service) -> int:
    """Parts that the service has acknowledged, read off its disk."""
    return sum(1 for path in service.data.rglob("*") if path.suffix in (".opened", ".sealed"))


class Tap:
    """Passes bytes on to the service and notes which parts are being sent, as a network tap would see it."""

    REQUEST = re.compile(rb"PUT /v1/uploads/[0-9a-f]{32}/parts/([0-9]+) HTTP/1.1\r\n")
    LONGEST = 100

    def __init__(self, port: int) -> None:
        self.begun: list[int] = []
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            threading.Thread(target=self._pass_on, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(server, client, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, watched: bool) -> None:
        tail = b""
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 18):
                if watched:
                    tail = self._watch(tail + data)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _watch(self, seen: bytes) -> bytes:
        end = 0
        for found in self.REQUEST.finditer(seen):
            self.begun.append(int(found[1]))
            end = found.end()
        return seen[max(end, len(seen) - self.LONGEST) :]

    def close(self) -> None:
        self._listener.close()


def test_a_client_killed_at_ten_random_points_continues_each_time(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "killed.bin", SIZE)
    chance = random.Random(20261123)
    tap = Tap(service.port)
    options = {"src": str(source), "part_size": "16M", "threads": THREADS, "endpoint": tap.url}
    runs: list[list[int]] = []
    kept: list[int] = []
    for _attempt in range(KILLS):
        process = client.start(**options, rate_limit=RATE)
        goal = (kept[-1] if kept else 0) + chance.randint(0, 3)
        deadline = time.monotonic() + 60
        while received(service) < min(goal, SIZE // PART - 1) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chance.random() * 0.2)
        os.killpg(process.pid, signal.SIGKILL)
        client.finish(process)
        if client.journal.exists():
            client.pending_entries()
        time.sleep(0.3)  # the service ends the requests that broke off
        kept.append(received(service))
        runs.append(tap.begun.copy())
        tap.begun.clear()
    result = client.upload(**options)
    runs.append(tap.begun.copy())
    tap.close()
    assert result["resumed"] is True
    assert result["parts_present"] >= kept[-1]
    assert result["parts_sent"] == result["parts"] - result["parts_present"]
    assert sha256_of(service.root / "killed.bin") == sha256_of(source)
    assert client.journal_keys() == [f"digest:{source}"]
    assert service.leftovers() == []
    again = [len(set(run) & {part for earlier in runs[:number] for part in earlier}) for number, run in enumerate(runs)]
    print(f"\nclient killed {KILLS} times; parts there after each kill: {kept} of {result['parts']}")
    print(f"parts that each run sent again: {again}; {sum(map(len, runs))} part requests in all")
    assert sorted({part for run in runs for part in run}) == list(range(1, result["parts"] + 1)), "the tap saw every part"
    assert max(again) <= THREADS
    assert kept == sorted(kept), "a kill lost parts"


def test_one_run_survives_ten_kills_of_the_service(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "survivor.bin", SIZE, seed=3)
    chance = random.Random(20261124)
    over = threading.Event()
    kills: list[int] = []

    def assassin() -> None:
        while len(kills) < KILLS and not over.is_set():
            goal = received(service) + chance.randint(0, 3)
            deadline = time.monotonic() + 20
            while received(service) < goal and time.monotonic() < deadline and not over.is_set():
                time.sleep(0.01)
            if over.is_set():
                return
            time.sleep(chance.random() * 0.1)
            kills.append(received(service))
            service.kill()
            time.sleep(chance.random() * 0.3)
            service.start()

    thread = threading.Thread(target=assassin)
    process = client.start(src=str(source), part_size="16M", threads=THREADS, rate_limit="80M", retries=30)
    thread.start()
    run = client.finish(process)
    over.set()
    thread.join()
    assert run.code == 0, run.text
    assert sha256_of(service.root / "survivor.bin") == sha256_of(source)
    assert client.journal_keys() == [f"digest:{source}"]
    assert service.leftovers() == []
    print(f"\nservice killed {len(kills)} times, with {kills} parts there; one client run of {run.seconds:.1f} s completed")
    assert len(kills) == KILLS


def test_a_service_killed_while_stitching_publishes_when_asked_again(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "stitched.bin", 256 * MiB, seed=4)
    process = client.start(src=str(source), part_size="16M", release_key="at_stitch")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(path.suffix == ".opened" for path in service.data.rglob("*")):
        time.sleep(0.002)
    service.kill()
    service.start()
    run = client.finish(process)
    assert run.code == 0, run.text
    assert sha256_of(service.root / "stitched.bin") == sha256_of(source)
    assert service.leftovers() == []


def test_a_run_told_to_end_leaves_a_state_from_which_the_next_one_continues(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "ended.bin", 256 * MiB, seed=5)
    for number in (signal.SIGTERM, signal.SIGINT):
        process = client.start(src=str(source), part_size="16M", rate_limit="60M")
        client.until_noted(2 + client.parts_noted())
        begun = time.monotonic()
        process.send_signal(number)
        run = client.finish(process)
        assert time.monotonic() - begun < 2
        assert run.result["failed"] and number.name in run.result["msg"] and "run the task again" in run.result["msg"], run.text
    result = client.upload(source)
    assert result["resumed"] is True and result["parts_present"] >= 4
    assert sha256_of(service.root / "ended.bin") == sha256_of(source)


def test_two_runs_of_one_upload_at_a_time_the_second_says_so(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "twice.bin", 128 * MiB, seed=6)
    first = client.start(src=str(source), rate_limit="20M")
    client.until_noted(1)
    assert "another run" in client.refused(src=str(source))
    assert client.finish(first).code == 0
    assert sha256_of(service.root / "twice.bin") == sha256_of(source)
