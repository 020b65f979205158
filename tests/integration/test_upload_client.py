"""The role that brings the modules' libraries, on this machine: from the index and offline, used, upgraded, removed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing as t
from pathlib import Path

from .conftest import ROOT, Client, make_file
from .test_roundtrip_ansible import ansible

FILES = ROOT / "roles" / "upload_client" / "files"
NOBODY = ["--index-url", "http://127.0.0.1:9/", "--retries", "0"]
"""An index that nobody answers at."""

UPLOAD = {
    "name": "Upload",
    "bigfile.oci.oci_chunked_upload": {"src": "{{ src }}"},
    "vars": {"ansible_python_interpreter": "{{ upload_client_python }}"},
    "when": "src is defined",
}


class Outcome(t.NamedTuple):
    """A run of the role."""

    code: int
    output: str

    @property
    def changed(self) -> int:
        found = re.search(r"^localhost .*\bchanged=(\d+)", self.output, re.MULTILINE)
        assert found, self.output
        return int(found[1])


class Libraries:
    """What the role makes, and the role itself with an upload after it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.root = client.folder / "libraries"
        self.python = self.root / "current/venv/bin/python"
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "roles": ["bigfile.oci.upload_client"],
            "tasks": [UPLOAD],
        }
        self.playbook = client.folder / "libraries.json"
        self.playbook.write_text(json.dumps([play]))

    def run(self, *arguments: str, **variables: t.Any) -> Outcome:
        given = json.dumps({"upload_client_root": str(self.root), **variables})
        done = ansible(self.client, "ansible-playbook", str(self.playbook), "-e", given, *arguments, ANSIBLE_PIPELINING="true")
        return Outcome(done.returncode, done.stdout + done.stderr)

    def deploy(self, *arguments: str, **variables: t.Any) -> Outcome:
        """A run that has to go well."""
        outcome = self.run(*arguments, **variables)
        assert outcome.code == 0, outcome.output
        return outcome

    def versions(self) -> dict[str, str]:
        """What the virtual environment has."""
        listed = subprocess.run([str(self.python), "-m", "pip", "list", "--format=json"], capture_output=True, text=True, check=True)
        return {found["name"].lower().replace("_", "-"): found["version"] for found in json.loads(listed.stdout)}

    def release(self) -> Path:
        return (self.root / "current").resolve()


def pinned() -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", "".join(path.read_text() for path in FILES.glob("*.lock")), re.MULTILINE))


def test_from_the_index_used_upgraded_and_removed(client: Client, work: Path) -> None:
    libraries = Libraries(client)
    bare = libraries.deploy("--check", "--diff")
    assert bare.changed > 0
    assert "would be built" in bare.output
    assert not libraries.root.exists()

    source = make_file(work / "first.bin", 1 << 20)
    assert libraries.deploy(src=str(source)).changed > 0
    assert (client.service.data / "dba" / source.name).read_bytes() == source.read_bytes()
    assert libraries.versions() == pinned()

    for mode in ([], ["--check", "--diff"]):
        assert libraries.deploy(*mode, src=str(source)).changed == 0
    # Where an inventory names it for all tasks, the role itself is run by it.
    assert libraries.deploy(ansible_python_interpreter=str(libraries.python)).changed == 0

    # As after a change of the lock file: what is in use bears another name than what is to be.
    new, old = libraries.release(), libraries.release().with_name("old")
    new.rename(old)
    (libraries.root / "current").unlink()
    (libraries.root / "current").symlink_to("releases/old")
    assert libraries.run(upload_client_pip_extra_args=NOBODY).code != 0
    assert libraries.release() == old
    assert libraries.deploy().changed > 0
    assert libraries.release() == new
    assert libraries.versions() == pinned()
    assert [path.name for path in (libraries.root / "releases").iterdir()] == [new.name]

    (libraries.root / "notes").write_text("of somebody else")
    refused = libraries.run(upload_client_state="absent")
    assert refused.code != 0 and "has more in it than this role made: notes" in " ".join(refused.output.split())
    (libraries.root / "notes").unlink()
    assert libraries.deploy("--check", upload_client_state="absent").changed == 1
    assert libraries.python.exists()
    assert libraries.deploy(upload_client_state="absent", ansible_python_interpreter=str(libraries.python)).changed == 1
    assert not libraries.root.exists()
    assert libraries.deploy(upload_client_state="absent").changed == 0


def test_offline_from_a_wheelhouse_that_is_built_once(client: Client) -> None:
    libraries = Libraries(client)
    offline = {"upload_client_offline": True, "upload_client_wheelhouse": str(client.folder / "wheelhouse")}
    libraries.deploy(**offline)
    assert libraries.versions() == pinned()
    libraries.deploy(upload_client_state="absent")
    libraries.deploy(**offline, upload_client_pip_extra_args=NOBODY)
    assert libraries.versions() == pinned()
    assert libraries.deploy(**offline).changed == 0


def test_source_of_another_hash_is_neither_built_nor_shipped(tmp_path: Path) -> None:
    locks, archive = tmp_path / "locks", tmp_path / "house.tar.gz"
    locks.mkdir()
    for path in FILES.glob("*.lock"):
        (locks / path.name).write_text(path.read_text())
    (locks / "sdists.lock").write_text(re.sub(r"sha256:\w+", f"sha256:{'0' * 64}", (locks / "sdists.lock").read_text()))
    build = [
        sys.executable,
        str(ROOT / "roles/python_venv/files/build-wheelhouse.py"),
        str(locks),
        "3.11.2",
        "x86_64",
        "2.36",
        str(archive),
    ]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert list(tmp_path.iterdir()) == [locks]


def test_what_cannot_be_meant_is_refused(client: Client) -> None:
    libraries = Libraries(client)
    for variables, complaint in [
        ({"upload_client_root": "relative"}, "upload_client_root must be an absolute path"),
        ({"upload_client_base_python": "/usr/bin/false"}, "or name one in upload_client_base_python"),
    ]:
        outcome = libraries.run(**variables)
        assert outcome.code != 0 and complaint in " ".join(outcome.output.split())
        assert outcome.changed == 0
    assert not libraries.root.exists()
