"""Progress over ssh and sudo, and what becomes of a run on a host whose control node goes away. The service runs on the control node.

After the story, which begins with hosts that are bare and leaves them so.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import typing as t

import pytest

from ansible_collections.bigfile.oci.tests.integration.conftest import Service, until

from .conftest import CLIENT, Control
from .machines import Host

SOURCE = "/home/opc/followed.dmp"
LINE = re.compile(r"^sending: \[uploader\] => followed\.dmp: \d+ %, [\d.]+ MiB of 64\.0 MiB, \d+ of 9 parts", re.MULTILINE)


@pytest.fixture
def uploader(control: Control) -> Host:
    host = control.site.hosts["uploader"]
    host.call(f"head -c 64M /dev/urandom >{SOURCE} && chmod 0600 {SOURCE} && rm -rf /root/.local/state/bigfile.oci")
    return host


@pytest.fixture(scope="module")
def service(control: Control) -> t.Iterator[Service]:
    control.libraries()
    running = Service(control.folder / "service", listen=control.site.address).start()
    yield running
    running.stop()


def follow(control: Control, service: Service, rate: str, **keywords: t.Any) -> subprocess.Popen[str]:
    """Begin an upload as root, over ssh and sudo."""
    options = {"endpoint": service.url, "validate_certs": False, "username": "dba", "password": service.password}
    task = {"bigfile.oci.oci_chunked_upload": {"src": SOURCE, "part_size": "8M", "rate_limit": rate, **options}, **keywords}
    play = {"hosts": "uploader", "become": True, "vars": {"ansible_python_interpreter": CLIENT}}
    return control.start({**play, "tasks": [{"name": "Upload", "no_log": False, **task}]})


def modules(host: Host) -> str:
    """Processes of the module on a host. (Sudo tells this very command in its environment, so the command must not find itself.)"""
    return host.call("grep -lzE '^BIGFILE_[W]ATCH=' /proc/[0-9]*/environ 2>/dev/null", check=False)


def under_way(host: Host) -> None:
    """Wait until a run is followed and parts have arrived."""
    until(lambda: host.status("grep -q '\"parts_done\": [1-9]' /root/.local/state/bigfile.oci/journal.db.*.progress") == 0)
    assert modules(host), "else its end would show nothing"


def continued(control: Control, service: Service) -> None:
    """The next run goes on."""
    outcome = control.finish(follow(control, service, "64M", register="sent"))
    assert outcome.code == 0, outcome.output
    assert (service.root / "followed.dmp").stat().st_size == 64 << 20
    (service.root / "followed.dmp").unlink()


def test_an_upload_over_ssh_and_sudo_tells_how_far_it_is(control: Control, service: Service, uploader: Host) -> None:
    outcome = control.finish(follow(control, service, "3M"))
    assert outcome.code == 0, outcome.output
    assert len(LINE.findall(outcome.output)) >= 3, outcome.output
    assert outcome.changed("uploader") == 1
    assert uploader.call("ls /root/.local/state/bigfile.oci") == "journal.db"
    (service.root / "followed.dmp").unlink()


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
    continued(control, service)
