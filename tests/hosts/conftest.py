"""Three bare hosts, a certificate authority, and ansible-playbook on this machine as the control node that reaches them over ssh."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bigfile.oci.tests.integration.conftest import watch

from . import machines

BUILD = Path(os.environ["BIGFILE_BUILD"])
SITE = Path(os.environ["BIGFILE_SITE"])
ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
ROLE = "roles/oracle_assembler"
HOSTS = {"assembler": "bookworm", "newer": "trixie", "uploader": "bookworm"}
CLIENT = "/opt/upload_client/current/venv/bin/python"


class Outcome(t.NamedTuple):
    """A playbook run that ended."""

    code: int
    output: str
    seconds: float

    def changed(self, host: str) -> int:
        """Tasks that changed something on a host."""
        found = re.search(rf"^{host} .*\bchanged=(\d+)", self.output, re.MULTILINE)
        assert found, self.output
        return int(found[1])


class Control:
    """The control node: what an operator has, with passwords that reach playbooks by the environment."""

    def __init__(self, site: machines.Site, folder: Path) -> None:
        self.site = site
        self.folder = folder
        self.password = secrets.token_urlsafe(18)
        self.secrets: set[str] = {self.password}
        """Whatever nothing may show."""
        self.collections = BUILD / "tree"
        self.outputs: list[str] = []
        """All that any playbook printed."""
        self.command_lines: set[str] = set()
        """Of all processes of this machine, its hosts among them, that were seen while a playbook ran."""
        self.authority = folder / "authority.pem"
        self.variables: dict[str, t.Any] = {
            "oracle_assembler_listen": "0.0.0.0",
            "oracle_assembler_names": ["{{ ansible_host }}"],
            "oracle_assembler_offline": True,
            "oracle_assembler_wheelhouse": str(folder / "wheelhouse"),
            "oracle_assembler_group": "oinstall",
            "upload_client_offline": True,
            "upload_client_wheelhouse": str(folder / "wheelhouse"),
            "oracle_assembler_users": [{"name": "dba", "password": "{{ lookup('ansible.builtin.env', 'HOSTS_PASSWORD') }}"}],
        }
        common = f"-F {site.folder / 'ssh_config'}"
        inventory = {"all": {"hosts": {n: {"ansible_host": h.address, "ansible_ssh_common_args": common} for n, h in site.hosts.items()}}}
        (folder / "inventory.json").write_text(json.dumps(inventory))

    def another_release(self, change: t.Callable[[Path], None]) -> Path:
        """A folder with another version of the collection; ``change`` makes the difference."""
        folder = self.folder / f"collections-{len(list(self.folder.glob('collections-*')))}"
        collection = folder / "ansible_collections/bigfile/oci"
        shutil.copytree(self.collections / "ansible_collections/bigfile/oci", collection, symlinks=True)
        change(collection)
        return folder

    def start(
        self, *plays: dict[str, t.Any], arguments: t.Sequence[str] = (), collections: Path | None = None, persist: bool = False
    ) -> subprocess.Popen[str]:
        """Begin to run a playbook. ``persist``: by one connection to a host for all of its tasks, as Ansible does unless told otherwise."""
        number = len(list(self.folder.glob("play-*.json")))
        connections = "-o ControlMaster=auto -o ControlPersist=15s" if persist else "-o ControlMaster=no"
        book = self.folder / f"play-{number}.json"
        book.write_text(json.dumps([{"gather_facts": False, **play} for play in plays]))
        process = subprocess.Popen(
            [str(BIN / "ansible-playbook"), "-i", str(self.folder / "inventory.json"), str(book), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join([str(collections or self.collections), str(BUILD / "posix")]),
                "ANSIBLE_HOME": str(self.folder / "ansible"),
                "ANSIBLE_REMOTE_TEMP": "~/.ansible/tmp",
                "ANSIBLE_PIPELINING": "true",
                "ANSIBLE_SSH_ARGS": connections,
                # Each playbook its own: a host may have lost its power since the one before.
                "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.site.folder / f"ssh-{number}"),
                "HOSTS_PASSWORD": self.password,
            },
        )
        threading.Thread(target=watch, args=(process, self.command_lines), daemon=True).start()
        return process

    def finish(self, process: subprocess.Popen[str]) -> Outcome:
        """Wait for a playbook."""
        begun = time.monotonic()
        output = process.communicate(timeout=600)[0]
        self.outputs.append(output)
        return Outcome(process.returncode, output, time.monotonic() - begun)

    def play(self, hosts: str, role: str = "oracle_assembler", become: bool = True, **variables: t.Any) -> dict[str, t.Any]:
        """One that runs a role."""
        return {"hosts": hosts, "become": become, "vars": {**self.variables, **variables}, "roles": [f"bigfile.oci.{role}"]}

    def role(self, *arguments: str, hosts: str = "assembler", collections: Path | None = None, **variables: t.Any) -> Outcome:
        """Run the role to its end, whatever that is."""
        return self.finish(self.start(self.play(hosts, **variables), arguments=arguments, collections=collections, persist=True))

    def deploy(self, *arguments: str, **more: t.Any) -> Outcome:
        """Run the role, which has to go well."""
        outcome = self.role(*arguments, **more)
        assert outcome.code == 0, outcome.output
        return outcome

    def deploy_all(self, *arguments: str) -> Outcome:
        """One playbook run for all hosts, that receive and that upload, which has to go well."""
        receiving = self.play("assembler,newer", oracle_assembler_tls_self_signed=True)
        outcome = self.finish(self.start(receiving, self.play("uploader", "upload_client"), arguments=arguments, persist=True))
        assert outcome.code == 0, outcome.output
        return outcome

    def libraries(self, *arguments: str, hosts: str = "uploader", become: bool = True, **variables: t.Any) -> Outcome:
        """Run the role of an uploading host alone, which has to go well."""
        outcome = self.finish(self.start(self.play(hosts, "upload_client", become, **variables), arguments=arguments, persist=True))
        assert outcome.code == 0, outcome.output
        return outcome

    def start_upload(self, src: str, *arguments: str, **options: t.Any) -> subprocess.Popen[str]:
        """Begin an upload from the uploading host by the module, over ssh."""
        url = f"https://{self.site.hosts['assembler'].address}:8443"
        task = {"endpoint": url, "username": "dba", "password": "{{ lookup('ansible.builtin.env', 'HOSTS_PASSWORD') }}", "src": src}
        task |= {"ca_path": "/etc/bigfile-ca.pem", **options}
        play = {"hosts": "uploader", "vars": {"ansible_python_interpreter": CLIENT}}
        return self.start({**play, "tasks": [{"name": "Upload", "bigfile.oci.oci_chunked_upload": task}]}, arguments=arguments)

    def upload(self, src: str, *arguments: str, **options: t.Any) -> Outcome:
        """Upload, which has to go well."""
        outcome = self.finish(self.start_upload(src, *arguments, **options))
        assert outcome.code == 0, outcome.output
        return outcome

    def trust(self, certificate: str) -> None:
        """Give the uploading host what it is to trust."""
        self.site.hosts["uploader"].call(f"printf %s {shlex.quote(certificate)} >/etc/bigfile-ca.pem && chmod 0644 /etc/bigfile-ca.pem")

    def learn_secrets(self) -> None:
        """Note the assembler's present ones: password hashes, and its keys as far as they are text."""
        host = self.site.hosts["assembler"]
        for user in json.loads(host.call("cat /etc/oracle_assembler/config.json"))["users"]:
            self.secrets |= {user["password_hash"], user["password_hash"].rpartition("$")[2]}
        keys = host.call("cat /etc/oracle_assembler/*.key 2>/dev/null", check=False).splitlines()
        if (self.folder / "given.key").exists():
            keys += (self.folder / "given.key").read_text().splitlines()
        self.secrets |= {line for line in keys if line and not line.startswith("-")}
        for key in ("hpke.key", "token.key"):
            digits = host.call(f"cat /var/lib/oracle_assembler/state/{key}")
            self.secrets |= {digits, base64.b64encode(bytes.fromhex(digits)).decode()}

    def certify(self) -> dict[str, str]:
        """A new certificate for the assembler from our own authority, as variables of the role."""
        key, certificate = self.folder / "given.key", self.folder / "given.pem"
        names = f"subjectAltName=IP:{self.site.hosts['assembler'].address}"
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        if not self.authority.exists():
            ca = ["-subj", "/CN=authority", "-keyout", str(self.folder / "authority.key"), "-out", str(self.authority)]
            subprocess.run([*make, *ca], check=True, capture_output=True)
        signer = ["-CA", str(self.authority), "-CAkey", str(self.folder / "authority.key")]
        extensions = ["-addext", names, "-addext", "basicConstraints=critical,CA:FALSE"]
        leaf = ["-subj", "/CN=assembler", "-keyout", str(key), "-out", str(certificate), *signer, *extensions]
        subprocess.run([*make, *leaf], check=True, capture_output=True)
        return {"oracle_assembler_tls_certificate": str(certificate), "oracle_assembler_tls_key": str(key)}


@pytest.fixture(scope="session")
def site() -> t.Iterator[machines.Site]:
    reason = machines.obstacle()
    if reason:
        pytest.exit(reason, returncode=1)
    # A gate that takes too long is ended by SIGTERM: the hosts are to go then, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with machines.Site(SITE, HOSTS) as made:
        yield made


@pytest.fixture(scope="session")
def control(site: machines.Site, tmp_path_factory: pytest.TempPathFactory) -> Control:
    """With the group that reads what is published on the hosts that receive."""
    folder = tmp_path_factory.mktemp("control")
    for name, host in site.hosts.items():
        if name != "uploader":
            host.call("groupadd oinstall && useradd -g oinstall oracle")
    return Control(site, folder)
