"""Time: a deadline holds whatever stands still, ``timeout`` is for standing still and not for all of it, signals end a run soon."""

from __future__ import annotations

import os
import signal
import socket
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bigfile.oci.tests.integration.test_roundtrip_ansible import ansible

from .conftest import Figures
from .rig import Scene
from .steps import OPTIONS, MiB

SIZE = 33 * MiB
MARGIN = 8
"""Seconds for the start of Python on a busy machine."""


@pytest.fixture
def scene(tmp_path: Path) -> t.Iterator[Scene]:
    found = Scene(tmp_path)
    found.service.start()
    yield found
    found.service.stop()


class Frozen:
    """The service stands still, as a host does that swaps or has lost its disk."""

    def __init__(self, scene: Scene) -> None:
        self._pids = scene.service.processes()

    def __enter__(self) -> None:
        for pid in self._pids:
            os.kill(pid, signal.SIGSTOP)

    def __exit__(self, *unused: object) -> None:
        for pid in self._pids:
            os.kill(pid, signal.SIGCONT)


def goes_on(scene: Scene, source: Path) -> None:
    """The next run continues where the last one was ended."""
    run = scene.client.tell(source, **OPTIONS)
    assert run.code == 0 and run.result["resumed"] and run.result["parts_present"] >= 2, run.text
    scene.complete(source)


def test_a_deadline_holds_while_the_service_stands_still_and_timeout_is_longer(scene: Scene, figures: Figures) -> None:
    source = scene.source(SIZE)
    begin = time.monotonic()
    process = scene.client.set_out(source, **{**OPTIONS, "timeout": 300}, rate_limit="8M", deadline=10)
    scene.client.until_noted(2)
    with Frozen(scene):
        run = scene.client.finish(process)
        seconds = time.monotonic() - begin
    assert "deadline of 10 seconds" in run.result["msg"] and "safe on the server" in run.result["msg"], run.text
    assert seconds < 10 + MARGIN
    goes_on(scene, source)
    figures(what="a deadline of 10 s with the service frozen", seconds=seconds)


@pytest.mark.long
def test_a_deadline_holds_before_the_first_answer(scene: Scene, figures: Figures) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.monotonic()
        options = {**OPTIONS, "timeout": 300, "endpoint": f"http://127.0.0.1:{silent.getsockname()[1]}", "deadline": 3}
        run = scene.client.tell(scene.source(SIZE), **options)
        seconds = time.monotonic() - begin
    assert run.code == 1 and "deadline of 3 seconds" in run.result["msg"], run.text
    assert seconds < 3 + MARGIN
    figures(what="a deadline of 3 s with nobody there", seconds=seconds)


@pytest.mark.long
def test_an_upload_may_take_longer_than_timeout_as_long_as_it_moves(scene: Scene, figures: Figures) -> None:
    source = scene.source(SIZE)
    run = scene.client.tell(source, **{**OPTIONS, "timeout": 2, "retries": 0}, rate_limit="6M")
    assert run.code == 0 and run.seconds > 4, run.text
    scene.complete(source)
    figures(what="an upload with a timeout of 2 s", seconds=run.seconds)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, pytest.param(signal.SIGHUP, marks=pytest.mark.long)], ids=lambda number: number.name
)
def test_a_signal_ends_a_run_within_two_seconds_even_when_the_service_stands_still(
    number: signal.Signals, scene: Scene, figures: Figures
) -> None:
    source = scene.source(SIZE)
    process = scene.client.set_out(source, **{**OPTIONS, "timeout": 300}, rate_limit="8M")
    scene.client.until_noted(2)
    with Frozen(scene):
        time.sleep(0.5)
        begin = time.monotonic()
        process.send_signal(number)
        run = scene.client.finish(process)
        seconds = time.monotonic() - begin
    assert seconds < 5, "two seconds, and three for a machine that is busy"
    assert number.name in run.result["msg"] and "run the task again" in run.result["msg"], run.text
    goes_on(scene, source)
    figures(what=f"{number.name} with the service frozen", seconds=seconds)


PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Begin
      bigfile.oci.oci_chunked_upload: {{src: {src}, dest: dumps/exp.bin, part_size: 5M, rate_limit: {rate}}}
      {keywords}
    - name: Wait
      ansible.builtin.async_status: {{jid: "{{{{ begun.ansible_job_id }}}}"}}
      register: job
      until: job is finished
      retries: 200
      delay: 0.3
      when: begun.ansible_job_id is defined
"""


@pytest.mark.long
def test_async_and_poll_zero_leave_it_to_a_job_that_is_asked_for_later(scene: Scene, figures: Figures) -> None:
    source = scene.source(SIZE)
    book = scene.folder / "async.yml"
    book.write_text(PLAYBOOK.format(src=source, rate="30M", keywords="async: 120\n      poll: 0\n      register: begun"))
    done = ansible(scene.client, "ansible-playbook", str(book))
    assert done.returncode == 0, done.stdout + done.stderr
    scene.complete(source)
    figures(what="an upload by async")


@pytest.mark.long
def test_timeout_of_the_task_ends_the_run_and_the_next_one_continues(scene: Scene, figures: Figures) -> None:
    """A moment later, for it is another process that has to be told."""
    source = scene.source(SIZE)
    book = scene.folder / "timeout.yml"
    book.write_text(PLAYBOOK.format(src=source, rate="3M", keywords="timeout: 8\n      register: begun"))
    done = ansible(scene.client, "ansible-playbook", str(book))
    assert done.returncode != 0 and "imed out" in done.stdout + done.stderr, done.stdout
    run = scene.client.tell(source, **OPTIONS)
    while run.code:
        assert "another run" in run.result["msg"], run.text
        time.sleep(0.5)
        run = scene.client.tell(source, **OPTIONS)
    scene.complete(source)
    figures(what="an upload with the task's timeout")
