"""Progress over ssh and sudo, and what becomes of a run on a host whose control node goes away. The service runs on the control node.

On bare hosts: those of the story, which it leaves so, or others.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bigfile.oci.tests.integration.conftest import Service, sha256_of, until

from .conftest import CLIENT, Control
from .machines import Host

SOURCE = "/home/opc/followed.dmp"
LINE = re.compile(
    r"(?:asking|hashing|sending|retrying|stitching): \[(\w+)\] => (\w+)\.dmp: (?:no figures yet|\d+ %, [\d.]+ \w+ of 64\.0 MiB(?:, .+)?)"
)


def lines(output: str) -> list[tuple[str, str]]:
    """Host and file of each line that tells of an upload: these are whole, and nothing else looks like one."""
    telling = [line for line in output.splitlines() if re.search(r"\] => \w+\.dmp|MiB of|of 9 parts,", line)]
    found = [LINE.fullmatch(line) for line in telling]
    assert None not in found, output
    return [(match[1], match[2]) for match in found if match]


@pytest.fixture
def uploaders(control: Control) -> dict[str, Host]:
    """All hosts, each with a file to upload and without a past."""
    for host in control.site.hosts.values():
        host.call(f"head -c 64M /dev/urandom >{SOURCE} && chmod 0600 {SOURCE} && rm -rf /root/.local/state/bigfile.oci")
    return control.site.hosts


@pytest.fixture
def uploader(uploaders: dict[str, Host]) -> Host:
    return uploaders["uploader"]


@pytest.fixture(scope="module")
def service(control: Control) -> t.Iterator[Service]:
    control.libraries(hosts="all")
    running = Service(control.folder / "service", listen=control.site.address).start()
    yield running
    running.stop()


def follow(
    control: Control, service: Service, rate: str, *, hosts: str = "uploader", collections: Path | None = None, **keywords: t.Any
) -> subprocess.Popen[str]:
    """Begin an upload as root, over ssh and sudo; each host's file gets its name."""
    options = {"endpoint": service.url, "validate_certs": False, "username": "dba", "password": service.password}
    options |= {"src": SOURCE, "dest": "{{ inventory_hostname }}.dmp", "part_size": "8M", "rate_limit": rate}
    play = {"hosts": hosts, "become": True, "vars": {"ansible_python_interpreter": CLIENT}}
    task = {"name": "Upload", "no_log": False, "bigfile.oci.oci_chunked_upload": options, **keywords}
    return control.start({**play, "tasks": [task]}, collections=collections)


def published(service: Service, host: Host) -> None:
    """A host's file has arrived, and goes."""
    path = service.root / f"{host.name}.dmp"
    assert sha256_of(path) == host.call(f"sha256sum {SOURCE}").split()[0]
    path.unlink()


def modules(host: Host) -> str:
    """Processes of the module on a host. (Sudo tells this very command in its environment, so the command must not find itself.)"""
    return host.call("grep -lzE '^BIGFILE_[W]ATCH=' /proc/[0-9]*/environ 2>/dev/null", check=False)


def watched(host: Host) -> list[int]:
    """The same, seen from outside, without its network."""
    found = []
    for pid in host.pids():
        with contextlib.suppress(OSError):
            if b"\0BIGFILE_WATCH=" in b"\0" + Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
    return found


def under_way(host: Host) -> None:
    """Wait until a run is followed and parts have arrived."""
    until(lambda: host.status("grep -q '\"parts_done\": [1-9]' /root/.local/state/bigfile.oci/journal.db.*.progress") == 0)
    assert modules(host) and watched(host), "else its end would show nothing"


def continued(control: Control, service: Service, uploader: Host) -> None:
    """The next run goes on."""
    outcome = control.finish(follow(control, service, "64M"))
    assert outcome.code == 0, outcome.output
    published(service, uploader)


def test_an_upload_over_ssh_and_sudo_tells_how_far_it_is(control: Control, service: Service, uploader: Host) -> None:
    outcome = control.finish(follow(control, service, "3M"))
    assert outcome.code == 0, outcome.output
    assert len(lines(outcome.output)) >= 3, outcome.output
    assert outcome.changed("uploader") == 1
    assert uploader.call("ls /root/.local/state/bigfile.oci") == "journal.db"
    published(service, uploader)


def test_three_hosts_at_once_have_a_line_each(control: Control, service: Service, uploaders: dict[str, Host]) -> None:
    outcome = control.finish(follow(control, service, "1M", hosts="all"))  # slow, as a look at three hosts may take seconds
    assert outcome.code == 0, outcome.output
    told = lines(outcome.output)
    assert all(host == file for host, file in told)
    for name, host in uploaders.items():
        assert told.count((name, name)) >= 3, outcome.output
        assert outcome.changed(name) == 1
        published(service, host)


def test_the_output_of_a_callback_for_machines_stays_whole(
    control: Control, service: Service, uploader: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSIBLE_STDOUT_CALLBACK", "ansible.posix.json")
    outcome = control.finish(follow(control, service, "8M"))  # with standard error, where the lines would be
    assert outcome.code == 0, outcome.output
    assert json.loads(outcome.output)["plays"][0]["tasks"][0]["hosts"]["uploader"]["changed"] is True
    published(service, uploader)


def test_a_network_that_comes_back_in_time_costs_nothing_but_time(control: Control, service: Service, uploader: Host) -> None:
    process = follow(control, service, "3M")
    under_way(uploader)
    with uploader.unplugged():
        time.sleep(15)
    outcome = control.finish(process)
    assert outcome.code == 0, outcome.output
    published(service, uploader)


def test_a_run_that_nobody_has_asked_after_for_long_ends(control: Control, service: Service, uploader: Host) -> None:
    def be_impatient(collection: Path) -> None:
        for file, patient, impatient in (
            ("plugins/module_utils/_watch.py", "SILENCE_MOST = 300.0", "SILENCE_MOST = 20.0"),
            ("plugins/action/oci_chunked_upload.py", "FIRST, LONGEST = 2.0, 30.0", "FIRST, LONGEST = 2.0, 5.0"),
        ):
            text = (collection / file).read_text()
            assert patient in text
            (collection / file).write_text(text.replace(patient, impatient))

    process = follow(control, service, "1M", collections=control.another_release(be_impatient))
    under_way(uploader)
    with uploader.unplugged():
        until(lambda: not watched(uploader), 60)
    outcome = control.finish(process)
    assert outcome.code != 0
    assert "ended by SIGHUP. " in outcome.output, outcome.output
    continued(control, service, uploader)


@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL", "timeout"])
def test_a_run_does_not_outlive_its_control_node(control: Control, service: Service, uploader: Host, how: str) -> None:
    process = follow(control, service, "2M", **({"timeout": 20} if how == "timeout" else {}))
    under_way(uploader)
    if how == "SIGINT":
        process.send_signal(signal.SIGINT)
    elif how == "SIGKILL":
        os.kill(process.pid, signal.SIGKILL)
    outcome = control.finish(process)
    assert outcome.code != 0
    until(lambda: modules(uploader) == "")
    assert uploader.status("ls /root/.local/state/bigfile.oci/watch-*") != 0
    record = uploader.call("cat /root/.local/state/bigfile.oci/journal.db.*.progress")
    assert '"state": "ended"' in record and '"ended by SIGHUP. ' in record, record
    continued(control, service, uploader)
