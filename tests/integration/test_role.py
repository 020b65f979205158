"""The role on this machine, as a plain process, with real ansible-playbook: first run, second run, check mode, changes, removal.

The tests tell one story and stand in its order. Passwords reach the playbook by the environment, so that whatever shows one is the role.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import ssl
import subprocess
import threading
import time
import typing as t
import urllib.request
from pathlib import Path

import pytest

from .conftest import free_port, secret, until, watch
from .test_roundtrip_ansible import BIN, collections_path

PLAYBOOK = [
    {
        "name": "Deploy the assembler",
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {
            "oracle_assembler_users": [{"name": "dba", "password": "{{ lookup('ansible.builtin.env', 'ROLE_PASSWORD') }}", "quota": "1G"}]
        },
        "roles": ["bigfile.oci.oracle_assembler"],
    }
]


class Outcome(t.NamedTuple):
    """A run of the role."""

    code: int
    output: str
    command_lines: set[str]
    """Of all processes of this machine that were seen while it ran."""

    @property
    def changed(self) -> int:
        found = re.search(r"^localhost .*\bchanged=(\d+)", self.output, re.MULTILINE)
        assert found, self.output
        return int(found[1])

    def message(self) -> str:
        """All of the output, without line breaks and escapes."""
        return " ".join(self.output.replace('\\"', '"').split())


class Host:
    """This machine, as the role sees it: a folder to deploy to, and variables."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.root = folder / "service"
        self.password = secret(secrets.token_urlsafe(18))
        self.variables: dict[str, t.Any] = {
            "oracle_assembler_manager": "process",
            "oracle_assembler_root": str(self.root),
            "oracle_assembler_port": free_port(),
        }
        self.playbook = folder / "playbook.json"
        self.playbook.write_text(json.dumps(PLAYBOOK))
        self.runs = 0

    def run(self, *arguments: str, watched: bool = False, **variables: t.Any) -> Outcome:
        """Run the role with its variables and these. ``watched``: note what process lists show meanwhile."""
        settings = self.folder / "variables.json"
        settings.write_text(json.dumps({**self.variables, **variables}))
        process = subprocess.Popen(
            [str(BIN / "ansible-playbook"), str(self.playbook), "-e", f"@{settings}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": collections_path(),
                "ANSIBLE_HOME": str(self.folder / "ansible"),
                "ANSIBLE_REMOTE_TEMP": str(self.folder / "ansible" / "tmp"),
                "ANSIBLE_LOCALHOST_WARNING": "false",
                "ANSIBLE_PIPELINING": "true",
                "ANSIBLE_NOCOLOR": "1",
                "ROLE_PASSWORD": self.password,
            },
        )
        seen: set[str] = set()
        if watched:
            threading.Thread(target=watch, args=(process, seen)).start()
        output = process.communicate(timeout=600)[0]
        self.runs += 1
        (self.folder / f"run-{self.runs}.txt").write_text(output)
        return Outcome(process.returncode, output, seen)

    def deploy(self, *arguments: str, watched: bool = False, **variables: t.Any) -> Outcome:
        """A run that has to go well."""
        outcome = self.run(*arguments, watched=watched, **variables)
        assert outcome.code == 0, outcome.output
        return outcome

    @property
    def port(self) -> int:
        return int(self.variables["oracle_assembler_port"])

    def control(self, word: str) -> str:
        done = subprocess.run([str(self.root / "control"), word], capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr

    def pid(self) -> int:
        """The running service's."""
        found = re.search(r"pid (\d+)", self.control("status"))
        assert found, (self.root / "service.log").read_text()
        return int(found[1])

    def password_hash(self) -> str:
        config = json.loads((self.root / "etc" / "config.json").read_text())
        return str(config["users"][0]["password_hash"])

    def ask(self, route: str, body: object = None, ca: Path | None = None) -> dict[str, t.Any]:
        """Ask the service; with a certificate to trust, by https."""
        url = f"http{'s' if ca else ''}://127.0.0.1:{self.port}{route}"
        context = ssl.create_default_context(cafile=str(ca)) if ca else None
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(
            urllib.request.Request(url, data, {"Content-Type": "application/json"}), timeout=20, context=context
        ) as answer:
            return t.cast("dict[str, t.Any]", json.load(answer))

    def log_in(self, ca: Path | None = None) -> dict[str, t.Any]:
        answer = self.ask("/v1/token", {"username": "dba", "password": self.password}, ca)
        secret(answer["token"])
        return answer

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*")} if self.root.exists() else set()


@pytest.fixture(scope="module")
def host(base: Path) -> t.Iterator[Host]:
    made = Host(base / "role")
    yield made
    if (made.root / "control").exists():
        made.control("stop")


@pytest.fixture(scope="module")
def bare_check(host: Host) -> Outcome:
    """Check mode, before anything is there."""
    outcome = host.deploy("--check", "--diff")
    assert not host.root.exists(), "check mode made something"
    return outcome


@pytest.fixture(scope="module")
def first(host: Host, bare_check: Outcome) -> Outcome:
    """The first run, as talkative as can be."""
    return host.deploy("--diff", "-vvv", watched=True)


def test_offline_it_installs_from_a_wheelhouse_that_is_built_once(tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    host.variables.update(oracle_assembler_offline=True, oracle_assembler_wheelhouse=str(tmp_path / "wheelhouse"))
    try:
        host.deploy()
        assert host.ask("/healthz")["status"] == "ok"
        assert len(list((tmp_path / "wheelhouse").glob("*.tar.gz"))) == 1
        assert host.deploy().changed == 0
        host.deploy(oracle_assembler_state="absent")
        # With an index that nobody answers at, only what is kept can serve.
        host.deploy(oracle_assembler_pip_extra_args=["--index-url", "http://127.0.0.1:9/"])
        assert host.ask("/healthz")["status"] == "ok"
    finally:
        host.deploy(oracle_assembler_state="absent")


def test_check_mode_on_a_bare_host_says_what_it_would_do(bare_check: Outcome) -> None:
    assert bare_check.changed > 0
    assert "would be built" in bare_check.output


def test_the_first_run_ends_with_a_service_that_answers(host: Host, first: Outcome) -> None:
    assert host.ask("/healthz")["status"] == "ok"
    assert first.changed > 0


def test_the_public_key_and_url_that_it_shows_are_those_of_the_service(host: Host, first: Outcome) -> None:
    assert f"assembler_public_key={host.ask('/v1/server')['public_key']}" in first.message()
    assert f"http://127.0.0.1:{host.port}" in first.message()


def test_a_user_logs_in_with_the_password(host: Host, first: Outcome) -> None:
    assert host.log_in()["expires_in"] == 3600


def test_diff_and_the_highest_verbosity_show_neither_password_nor_hash(host: Host, first: Outcome) -> None:
    assert host.password not in first.output
    assert host.password_hash() not in first.output
    assert host.password_hash().rpartition("$")[2] not in first.output


def test_no_process_list_shows_password_or_hash(host: Host, first: Outcome) -> None:
    assert any("oracle_assembler" in line for line in first.command_lines), "else nothing was watched"
    shown = "\n".join(first.command_lines)
    assert host.password not in shown
    assert host.password_hash() not in shown


def test_what_is_secret_is_for_its_owner_alone(host: Host, first: Outcome) -> None:
    private = ["etc", "etc/config.json", "state", "state/hpke.key", "state/token.key", "service.log", "service.pid"]
    assert {name: oct((host.root / name).stat().st_mode & 0o077) for name in private} == dict.fromkeys(private, "0o0")


def test_the_second_run_changes_nothing(host: Host, first: Outcome) -> None:
    pid = host.pid()
    assert host.deploy().changed == 0
    assert host.pid() == pid


def test_check_mode_on_a_deployed_host_changes_nothing_and_tells_what_would_change(host: Host, first: Outcome) -> None:
    pid, config = host.pid(), (host.root / "etc" / "config.json").read_bytes()
    same = host.deploy("--check", "--diff")
    assert same.changed == 0
    other = host.deploy("--check", "--diff", oracle_assembler_token_lifetime=1800, oracle_assembler_tls_self_signed=True)
    assert other.changed > 0
    assert (host.pid(), (host.root / "etc" / "config.json").read_bytes()) == (pid, config)
    assert host.password_hash() not in same.output + other.output


def test_a_stale_pid_file_is_seen_through(host: Host, first: Outcome) -> None:
    os.kill(host.pid(), signal.SIGKILL)
    (host.root / "service.pid").write_text(f"{os.getpid()}\n")  # as after a reboot: the number is somebody else's
    time.sleep(0.5)
    assert "does not run" in host.control("status")
    assert "does not run" in host.control("stop")
    assert "started" in host.control("start")
    assert "runs already" in host.control("start")
    for _attempt in range(100):
        with contextlib.suppress(OSError):
            assert host.ask("/healthz")["status"] == "ok"
            return
        time.sleep(0.1)
    pytest.fail((host.root / "service.log").read_text())


def test_a_configuration_that_the_service_refuses_is_not_written(host: Host, first: Outcome) -> None:
    pid, config = host.pid(), (host.root / "etc" / "config.json").read_bytes()
    outcome = host.run("--diff", oracle_assembler_file_mode="9")
    assert outcome.code != 0
    assert "file_mode" in outcome.message() and "octal" in outcome.message()
    assert (host.pid(), (host.root / "etc" / "config.json").read_bytes()) == (pid, config)
    assert sorted(path.name for path in (host.root / "etc").iterdir()) == ["config.json"]
    assert host.password_hash() not in outcome.output


def test_a_change_restarts_it_and_the_self_signed_certificate_verifies(host: Host, first: Outcome) -> None:
    pid = host.pid()
    host.variables.update(oracle_assembler_token_lifetime=1800, oracle_assembler_tls_self_signed=True)
    assert host.deploy().changed > 0
    assert host.pid() != pid
    assert host.log_in(host.root / "etc" / "self_signed.pem")["expires_in"] == 1800
    assert host.deploy().changed == 0


NOWHERE = {"oracle_assembler_listen": "192.0.2.1", "oracle_assembler_start_timeout": 3}
"""TEST-NET-1 of RFC 5737: no host has it."""


def test_what_ran_before_comes_back_when_its_successor_does_not_get_well(host: Host, first: Outcome) -> None:
    before = {path: path.read_bytes() for path in (host.root / "etc").iterdir()}
    release = (host.root / "current").readlink()
    outcome = host.run("--diff", **NOWHERE)
    assert outcome.code != 0
    assert "does not get well" in outcome.message() and "What ran before is back" in outcome.message() and "192.0.2.1" in outcome.message()
    assert {path: path.read_bytes() for path in (host.root / "etc").iterdir()} == before
    assert (host.root / "current").readlink() == release
    assert not (host.root / "before.tar").exists()
    assert host.password_hash() not in outcome.output
    until(lambda: host.log_in(host.root / "etc" / "self_signed.pem")["expires_in"] == 1800)
    assert host.deploy().changed == 0


def test_where_nothing_ran_before_nothing_comes_back(tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    nowhere = {**NOWHERE, "oracle_assembler_plain_http": True}
    for _run in range(2):
        said = host.run(**nowhere).message()
        assert "does not get well" in said and "cannot listen on 192.0.2.1" in said and " is back" not in said
    host.deploy()
    assert host.ask("/healthz")["status"] == "ok"
    host.deploy(oracle_assembler_state="absent")


def test_a_run_that_was_interrupted_is_made_good_by_a_restart(host: Host, first: Outcome) -> None:
    pid = host.pid()
    (host.root / "before.tar").write_bytes(b"what an earlier run kept")
    assert host.deploy().changed == 2, "the restart, and what asks for it"
    assert host.pid() != pid
    assert not (host.root / "before.tar").exists()


def make_pair(certificate: Path, key: Path) -> None:
    """A certificate for loopback, and its key."""
    subject = ["-subj", "/CN=assembler", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate), *subject]
    subprocess.run(command, check=True, capture_output=True)


def served(host: Host) -> str:
    """The certificate that a new connection is shown."""
    return ssl.get_server_certificate(("127.0.0.1", host.port), timeout=20)


def test_a_given_certificate_is_taken_over_and_renewed_without_a_restart(host: Host, first: Outcome, tmp_path: Path) -> None:
    certificate, key = tmp_path / "given.pem", tmp_path / "given.key"
    make_pair(certificate, key)
    host.variables.update(oracle_assembler_tls_self_signed=False)
    given = {"oracle_assembler_tls_certificate": str(certificate), "oracle_assembler_tls_key": str(key)}
    outcome = host.deploy("--diff", "-vvv", **given)
    assert host.log_in(certificate)["expires_in"] == 1800
    assert not (host.root / "etc" / "self_signed.key").exists()
    assert key.read_text().splitlines()[3] not in outcome.output

    pid = host.pid()
    make_pair(certificate, key)
    renewed = host.deploy("--diff", "-vvv", **given)
    assert key.read_text().splitlines()[3] not in renewed.output
    until(lambda: served(host) == certificate.read_text())
    assert host.pid() == pid
    assert host.deploy(**given).changed == 0

    good, in_use = certificate.read_text(), sorted(path.name for path in (host.root / "etc").iterdir())
    make_pair(certificate, tmp_path / "other.key")
    refused = host.run(**given)
    assert refused.code != 0 and "are not used" in refused.message() and "MISMATCH" in refused.message()
    assert (host.root / "etc" / "given.pem").read_text() == good
    assert sorted(path.name for path in (host.root / "etc").iterdir()) == in_use
    assert (host.pid(), served(host)) == (pid, good)


def test_absent_removes_all_but_the_data_and_purge_the_rest(host: Host, first: Outcome) -> None:
    pid = host.pid()
    published = host.root / "data" / "dba" / "exp.dmp"
    published.write_bytes(b"a database")

    assert host.deploy("--check", oracle_assembler_state="absent").changed > 0
    assert host.pid() == pid

    assert host.deploy(oracle_assembler_state="absent").changed > 0
    assert not Path(f"/proc/{pid}").exists()
    assert {name.partition("/")[0] for name in host.files()} == {"data", "state"}
    assert published.read_bytes() == b"a database"
    assert (host.root / "state" / "hpke.key").exists(), "a pinned key must survive"
    assert host.deploy(oracle_assembler_state="absent").changed == 0

    refused = host.run(oracle_assembler_purge=True)
    assert refused.code != 0 and "oracle_assembler_purge deletes all uploaded files" in refused.message()
    host.deploy(oracle_assembler_state="absent", oracle_assembler_purge=True)
    assert not host.root.exists()


@pytest.mark.parametrize(
    "variables, complaint",
    [
        ({"oracle_assembler_listen": "0.0.0.0"}, "Without TLS the service listens on loopback only"),
        ({"oracle_assembler_tls_key": "/key.pem"}, "Give both oracle_assembler_tls_certificate and oracle_assembler_tls_key"),
        ({"oracle_assembler_data_dir": "relative"}, "must be an absolute path"),
        ({"oracle_assembler_python": "/usr/bin/false"}, "No Python 3.10 or later"),
        ({"oracle_assembler_users": [{"name": "dba"}]}, "The user dba needs either a password or a password_hash"),
        ({"oracle_assembler_users": [{"name": "dba", "password_hash": "md5"}]}, "is not a PHC string of scrypt"),
        ({"oracle_assembler_allowed_sources": ["10.0.0.1/8"]}, "10.0.0.1/8 has host bits set"),
        ({"oracle_assembler_allowed_sources": ["here"]}, "'here' does not appear to be an IPv4 or IPv6 network"),
        ({"oracle_assembler_allowed_sources": ["::1"], "oracle_assembler_firewall": False}, "is for the firewall of the host"),
        ({"oracle_assembler_part_size_max": "12 apples"}, "The size 12 apples must be a number of bytes"),
        ({"oracle_assembler_port": 70000}, "oracle_assembler_port must be from 1 to 65535; it is 70000"),
        ({"oracle_assembler_users": [{"name": "a:b", "password": "c"}]}, 'no control characters; "a:b" is not one'),
        ({"oracle_assembler_users": [{"name": "dba", "password": "c", "folder": "../dba"}]}, 'empty components; "../dba" is not one'),
        ({"oracle_assembler_users": [{"name": "..", "password": "c"}]}, 'empty components; ".." is not one'),
        ({"oracle_assembler_free_space_min": "5P"}, "left, and oracle_assembler_free_space_min asks for 5P"),
        ({"oracle_assembler_clock_skew_max": -1}, "seconds apart, more than oracle_assembler_clock_skew_max (-1)"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_changed(tmp_path: Path, variables: dict[str, t.Any], complaint: str) -> None:
    host = Host(tmp_path / "host")
    outcome = host.run(**variables)
    assert outcome.code != 0
    assert complaint in outcome.message()
    assert outcome.changed == 0
    assert not host.root.exists()
