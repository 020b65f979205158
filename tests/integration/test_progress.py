"""Lines that tell how far an upload is, with real ansible commands; and that nothing else is other than without them."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import pty
import re
import signal
import subprocess
import time
import typing as t
from pathlib import Path

import pytest
import yaml

from .conftest import ROOT, Client, MiB, Service, make_file, sha256_of, until
from .test_roundtrip_ansible import BIN, control_environment

POSIX = Path(os.environ["BIGFILE_BUILD"]) / "posix"
SIZE = 60 * MiB
RATE = "8M"
LINE = re.compile(
    r"(asking|hashing|sending|retrying|stitching): \[(?P<host>[^]]+)\] => (?:(?P<path>\S+): )?"
    r"(?:no figures yet|(?P<percent>\d+) %, [\d.]+ \S+ of [\d.]+ MiB(?:, \d+ of \d+ parts)?(?:, [\d.]+ \S+/s)?(?:, \d+:\d\d:\d\d left)?)"
)


class Done(t.NamedTuple):
    """A command that ended."""

    code: int
    out: str
    error: str

    @property
    def lines(self) -> list[re.Match[str]]:
        """The lines on standard error that tell of an upload. Nothing else may look like one, and none may be torn."""
        telling = [line for line in self.error.splitlines() if "=>" in line or "MiB" in line]
        matches = [LINE.fullmatch(line) for line in telling]
        assert None not in matches, self.error
        return [match for match in matches if match]


class Control:
    """Ansible on this host, which tells by a variable of the environment what it started."""

    def __init__(self, client: Client) -> None:
        self.client = client
        home = client.folder / "home"
        self.environment = control_environment(
            client,
            ANSIBLE_REMOTE_TEMP=str(home / "remote"),
            ANSIBLE_ASYNC_DIR=str(home / "async"),
            ANSIBLE_PIPELINING="true",
            BIGFILE_TEST=str(client.folder),
        )

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(BIN / command[0]), *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self.environment, **environment},
            cwd=self.client.folder,
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> Done:
        out, error = process.communicate(timeout=300)
        with self.client.transcript.open("a") as transcript:
            transcript.write(out + error)
        return Done(process.returncode, out, error)

    def play(self, tasks: list[dict[str, t.Any]], *arguments: str, hosts: str = "localhost,", **environment: str) -> subprocess.Popen[str]:
        book = self.client.folder / f"play-{time.monotonic_ns()}.json"
        book.write_text(json.dumps([{"hosts": "all", "connection": "local", "gather_facts": False, "tasks": tasks}]))
        return self.start("ansible-playbook", "-i", hosts, str(book), *arguments, **environment)

    def played(self, tasks: list[dict[str, t.Any]], *arguments: str, **more: t.Any) -> Done:
        done = self.finish(self.play(tasks, *arguments, **more))
        assert done.code == 0, done.out + done.error
        return done

    def modules(self) -> list[int]:
        """Processes of the module that this control node started and that are alive."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                environment, command = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
                if f"BIGFILE_TEST={self.client.folder}".encode() in environment.split(b"\0") and b"ansible-playbook" not in command:
                    found.append(int(folder.name))
        return found

    def until_gone(self, seconds: float = 30) -> None:
        until(lambda: self.modules() == [], seconds)

    def left_behind(self) -> list[str]:
        """Watch files, and what Ansible made for the module."""
        return [str(path) for path in (self.client.folder / "home").rglob("*") if path.name.startswith(("watch-", "AnsiballZ"))]


@pytest.fixture
def control(client: Client) -> Control:
    return Control(client)


@pytest.fixture
def source(work: Path) -> Path:
    """Of a name that no other test has: what one leaves pending is none of the next one's."""
    return make_file(work / f"{work.parent.name[-8:]}.bin", SIZE)


def upload(source: Path, rate: str = RATE, **options: t.Any) -> dict[str, t.Any]:
    return {"name": "Upload", "bigfile.oci.oci_chunked_upload": {"src": str(source), "part_size": "5M", "rate_limit": rate, **options}}


def resumed(client: Client, service: Service, source: Path) -> None:
    """What an ended run left is continued."""
    result = client.upload(source)
    assert result["resumed"] is True and result["parts_present"] >= 3
    assert sha256_of(service.root / source.name) == sha256_of(source)


def test_ad_hoc_tells_how_far_it_is_and_answers_as_without_it(control: Control, source: Path) -> None:
    answers = []
    for progress in ("true", "false"):
        options = f"src={source} dest={progress}.bin rate_limit={RATE} part_size=5M progress={progress}"
        done = control.finish(control.start("ansible", "localhost", "-m", "bigfile.oci.oci_chunked_upload", "-a", options))
        assert done.code == 0, done.out + done.error
        assert len(done.lines) >= 3 if progress == "true" else done.lines == []
        assert done.out.startswith("localhost | CHANGED => {")
        answers.append(json.loads(done.out.partition(" => ")[2]))
    told, silent = answers
    assert {name: type(value) for name, value in told.items()} == {name: type(value) for name, value in silent.items()}
    same = set(told) - {"duration", "rate", "upload_id", "path", "url"}
    assert {name: told[name] for name in same} == {name: silent[name] for name in same}
    assert control.left_behind() == []


def test_three_hosts_at_once_get_a_line_each_and_no_line_is_torn(control: Control, source: Path) -> None:
    done = control.played([upload(source, dest="{{ inventory_hostname }}.bin")], hosts="a,b,c,")
    lines = done.lines
    assert {(line["host"], line["path"]) for line in lines} == {(name, f"{name}.bin") for name in "abc"}
    for name in "abc":
        percents = [int(line["percent"] or 0) for line in lines if line["host"] == name]
        assert len(percents) >= 3 and percents == sorted(percents)
    assert "=> " not in done.out and done.out.count("changed: [") == 3


def test_without_a_terminal_a_line_comes_for_ten_percent(control: Control, source: Path) -> None:
    percents = [int(line["percent"] or 0) for line in control.played([upload(source, rate="3M")]).lines]
    tens = [percent // 10 for percent in percents]
    assert len(tens) >= 4 and tens == sorted(set(tens)), percents


def test_a_terminal_gets_a_line_for_each_look(control: Control, source: Path) -> None:
    leader, follower = pty.openpty()
    book = control.client.folder / "terminal.json"
    book.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [upload(source, rate="3M")]}]))
    process = subprocess.Popen(
        [str(BIN / "ansible-playbook"), str(book)], stdin=follower, stdout=follower, stderr=follower, env=control.environment
    )
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):  # EIO, when nobody has the other side any more
        while data := os.read(leader, 1 << 16):
            shown += data
    os.close(leader)
    assert process.wait(60) == 0, shown
    lines = Done(0, "", re.sub(r"\x1b\[[\d;]*m", "", shown.decode())).lines
    assert len(lines) >= 7, shown
    assert "ok=1    changed=1" in shown.decode()


def changed(callback: str, out: str) -> bool:
    """Whether the upload changed something, out of what a callback for machines wrote: all of it has to be JSON."""
    if callback.endswith("jsonl"):
        (ended,) = [event for event in map(json.loads, out.splitlines()) if event["_event"] == "v2_runner_on_ok"]
        hosts = ended["hosts"]
    else:
        hosts = json.loads(out)["plays"][0]["tasks"][0]["hosts"]
    return bool(hosts["localhost"]["changed"])


@pytest.mark.parametrize("callback", ["ansible.posix.json", "ansible.posix.jsonl"])
@pytest.mark.parametrize("progress", ["auto", "true"])
def test_what_a_callback_writes_for_machines_stays_readable(control: Control, source: Path, callback: str, progress: str) -> None:
    paths = os.pathsep.join([control.environment["ANSIBLE_COLLECTIONS_PATH"], str(POSIX)])
    settings = {"ANSIBLE_COLLECTIONS_PATH": paths, "ANSIBLE_STDOUT_CALLBACK": callback}
    done = control.played([upload(source, progress=progress)], **settings)
    assert changed(callback, done.out)
    assert bool(done.lines) is (progress == "true")


def test_ad_hoc_in_one_line_stays_one_line(control: Control, source: Path) -> None:
    options = f"src={source} rate_limit={RATE}"
    done = control.finish(control.start("ansible", "localhost", "-o", "-m", "bigfile.oci.oci_chunked_upload", "-a", options))
    assert done.code == 0 and done.out.startswith("localhost | CHANGED =>") and done.out.count("\n") == 1, done.out
    assert done.lines


@pytest.mark.parametrize("progress", ["auto", "true"])
def test_no_log_shows_no_name(control: Control, source: Path, progress: str) -> None:
    done = control.played([{**upload(source, dest="the-name.bin", progress=progress), "no_log": True}], "-v")
    assert bool(done.lines) is (progress == "true")
    assert not {line["path"] for line in done.lines} - {None}
    assert "the-name" not in done.out + done.error and source.name not in done.out + done.error


def test_check_mode_tells_nothing_and_makes_nothing(control: Control, source: Path) -> None:
    done = control.played([upload(source)], "--check", "--diff")
    assert done.lines == [] and "changed=1" in done.out and "+size: " in done.out
    assert not control.client.journal.parent.exists() and not (control.client.folder / "home" / ".local").exists()


def test_a_loop_delegated_with_a_diff_has_a_result_for_each(control: Control, source: Path) -> None:
    names = ["one.bin", "two.bin"]
    task = {**upload(source, dest="{{ item }}"), "loop": names, "register": "sent", "delegate_to": "localhost"}
    check = {"ansible.builtin.assert": {"that": ["sent.results | map(attribute='path') == ['one.bin', 'two.bin']", "sent is changed"]}}
    done = control.played([task, check], "--diff", hosts="exporter,")
    assert {(line["host"], line["path"]) for line in done.lines} == {("exporter -> localhost", name) for name in names}
    assert done.out.count("+sha256: ") == 2


def test_a_failure_is_told_as_without_it(control: Control, source: Path) -> None:
    messages = []
    for progress in ("true", "false"):
        done = control.finish(control.play([upload(source, deadline=3, progress=progress)], ANSIBLE_CALLBACK_RESULT_FORMAT="json"))
        assert done.code == 2
        messages.append(json.loads(re.search(r"fatal: \[localhost\]: FAILED! => (\{.*\})", done.out, re.DOTALL)[1]))  # type: ignore[index]
    told, silent = messages
    assert set(told) == set(silent)
    assert re.search(r"deadline of 3 seconds is reached\. \d+ of 13 parts are safe on the server; run the task again", told["msg"])


def test_async_with_poll_runs_as_any_module(control: Control, source: Path) -> None:
    done = control.played([{**upload(source), "async": 120, "poll": 1}])
    assert "ASYNC OK" in done.out and done.lines == []


# Ended in the middle


def test_an_interrupt_leaves_a_state_to_continue_from_and_no_process(
    control: Control, client: Client, service: Service, source: Path
) -> None:
    process = control.play([upload(source, rate="4M")])
    client.until_noted(3)
    process.send_signal(signal.SIGINT)
    done = control.finish(process)
    assert done.code != 0
    control.until_gone()
    resumed(client, service, source)
    assert control.left_behind() == []


def test_a_control_node_that_is_killed_takes_the_run_with_it(control: Control, client: Client, service: Service, source: Path) -> None:
    process = control.play([upload(source, rate="1M", progress="true")])
    client.until_noted(4)
    process.kill()
    control.finish(process)
    control.until_gone()
    resumed(client, service, source)


def test_workers_that_are_killed_too_leave_no_run_behind(control: Control, client: Client, service: Service, source: Path) -> None:
    """Nobody is left to tell the module; it sees that its output leads nowhere."""
    process = control.play([upload(source, rate="1M", progress="false")])
    client.until_noted(4)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in [process.pid, *map(int, children)]:
        os.kill(pid, signal.SIGKILL)
    control.finish(process)
    control.until_gone()
    resumed(client, service, source)


def test_the_time_of_a_task_that_is_over_ends_the_run(control: Control, client: Client, service: Service, source: Path) -> None:
    done = control.finish(control.play([{**upload(source, rate="2M"), "timeout": 25}]))
    # As ansible-core said it until 2.18, and as it says it since.
    assert done.code == 2 and re.search(r"time frame \(25\)|imed out after 25 second", done.out), done.out + done.error
    control.until_gone()
    resumed(client, service, source)
    assert control.left_behind() == []


# With become


STAND_IN = """#!/bin/sh
while [ "$1" != -c ]; do shift; done
exec /bin/sh -c "$2"
"""


def test_a_run_with_become_is_followed_too(control: Control, service: Service, source: Path) -> None:
    """With su, which asks root for no password; who is not root gets a stand-in. Sudo over ssh is for tests/hosts."""
    program = "su"
    if os.geteuid() != 0:
        stand_in = control.client.folder / "su"
        stand_in.write_text(STAND_IN)
        stand_in.chmod(0o755)
        program = str(stand_in)
    become = {
        "become": True,
        "become_method": "ansible.builtin.su",
        "become_user": getpass.getuser(),
        "become_flags": "-m",
        "become_exe": program,
    }
    done = control.played([{**upload(source), **become}], "-vvv", ANSIBLE_BECOME_ALLOW_SAME_USER="true")
    assert len(done.lines) >= 3
    assert f"{program} -m" in done.out and "BECOME-SUCCESS" in done.out, "else it became nobody"
    assert sha256_of(service.root / source.name) == sha256_of(source)
    assert control.left_behind() == []


# From outside


def test_the_info_module_tells_of_a_run_under_way_and_of_one_that_died(client: Client, service: Service, source: Path) -> None:
    process = client.start(src=str(source), part_size="5M", rate_limit="4M")
    client.until_noted(3)
    time.sleep(2)
    (row,) = client.info(path=source.name)["pending"]
    told = row["progress"]
    assert (told["running"], told["state"], told["bytes_total"], told["reason"]) == (True, "sending", SIZE, None)
    assert 0 < told["bytes_done"] < SIZE and told["rate"] > 0 and told["seconds_left"] > 0
    assert told["text"].startswith(f"{source.name}: {told['percent']} %, ")
    process.kill()
    client.finish(process)
    (row,) = client.info(path=source.name)["pending"]
    died = row["progress"]
    assert (died["running"], died["state"], died["rate"], died["seconds_left"]) == (False, "sending", None, None)
    assert died["bytes_done"] >= told["bytes_done"]
    client.upload(source)
    assert client.info(path=source.name)["pending"] == []
    assert [path.name for path in client.journal.parent.iterdir()] == ["journal.db"]


def test_the_info_module_tells_of_a_run_that_only_reads_and_of_a_small_file(client: Client, service: Service, source: Path) -> None:
    process = client.start(src=str(source), threshold="1G", rate_limit="8M")
    until(lambda: client.info(path=source.name)["pending"] != [])
    (row,) = client.info(path=source.name)["pending"]
    assert (row["upload_id"], row["path"], row["size"], row["progress"]["running"]) == (None, source.name, SIZE, True)
    assert client.finish(process).code == 0
    assert client.info(path=source.name)["pending"] == []


def test_a_service_that_is_away_is_told_with_the_reason(client: Client, service: Service, source: Path) -> None:
    process = client.start(src=str(source), part_size="5M", rate_limit="8M", retries=30)
    client.until_noted(3)
    service.stop()
    record = next(client.journal.parent.glob("journal.db.*.progress"))
    until(lambda: '"retrying"' in record.read_text())
    told = json.loads(record.read_text())
    assert "no connection to" in told["reason"]
    assert service.password not in record.read_text()
    service.start()
    assert client.finish(process).code == 0


def test_the_playbook_in_the_documentation_follows_an_upload_in_the_background(
    control: Control, client: Client, service: Service, source: Path
) -> None:
    block = re.search(r"^```yaml\n(- name: Send and follow\n.*?)^```", (ROOT / "docs/progress.md").read_text(), re.MULTILINE | re.DOTALL)
    assert block, "docs/progress.md has no such playbook"
    play = yaml.safe_load(block[1])
    assert play[0]["hosts"] == "exporter"
    book = client.folder / "follow.yml"
    book.write_text(block[1].replace("/u01/exports/sales.dmp", str(source)).replace("dumps/sales.dmp", source.name))
    inventory = "exporter ansible_connection=local"
    (client.folder / "hosts").write_text(inventory)
    done = control.finish(control.start("ansible-playbook", "-i", str(client.folder / "hosts"), str(book), BIGFILE_RATE="8M"))
    assert done.code == 0, done.out + done.error
    assert re.search(rf'"{source.name}: \d+ %, ', done.out), done.out
    assert sha256_of(service.root / source.name) == sha256_of(source)
