"""What the pages tell their readers to do, done: in the order of the page, section by section.

A yaml or ini block is written to the file that its first line names; a sh block is run in the folder of these files, all of a page by one
bash. What is different from the reader's hosts is said here and nowhere else:

- STAND_INS are replaced in every block: addresses, and folders that only root could make.
- The inventory ``stand-ins.yml`` makes this machine of every host: a local connection, no becoming another user, the role as a plain process.
- Passwords come from the environment. So does the certificate to trust, for examples that leave it to the reader.
- ``tests/integration/programs`` has programs in place of a database's.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import secrets
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from .conftest import ROOT, MiB, free_port, make_file, secret, sha256_of
from .galaxy import Galaxy
from .test_roundtrip_ansible import BIN, collections_path

GETTING_STARTED = "docs/getting-started.md"
ROLES = ("roles/upload_client/README.md", "roles/oracle_assembler/README.md")
PAGES = ("README.md", GETTING_STARTED, ROLES[0], "docs/cookbook.md", ROLES[1])
"""In this order: each deploys the service anew, or uses the one of a page before it."""
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("oci_*.py"))
PROGRAMS = ROOT / "tests" / "integration" / "programs"


class Block(t.NamedTuple):
    """A fenced block of a page."""

    section: str
    language: str
    text: str

    @property
    def file(self) -> str:
        """The name that its first line gives it."""
        named = re.match(r"# ([\w./-]+)\n", self.text)
        assert named, f"which file is this?\n{self.text}"
        return named[1]


def blocks(page: str) -> list[Block]:
    """All that is to be written or run, in its order."""
    tokens = MarkdownIt("commonmark").parse((ROOT / page).read_text())
    found, section = [], ""
    for before, token in zip([None, *tokens], tokens, strict=False):
        if before and before.type == "heading_open" and before.tag in ("h1", "h2"):
            section = token.content
        if token.type == "fence" and token.info in ("yaml", "ini", "sh"):
            found.append(Block(section, token.info, token.content))
    return found


END = "-- all of it went well --"
SECTIONS = [(page, section) for page in PAGES for section in dict.fromkeys(block.section for block in blocks(page))]


class Shell:
    """A bash that takes one script after the other, and ends at the first command that fails."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.script = folder.parent / "script.sh"
        self.transcript = folder.parent / "transcript.txt"
        self.process = subprocess.Popen(
            ["bash", "-euo", "pipefail"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, script: str) -> str:
        """What its commands said; they must all go well."""
        self.script.write_text(script)
        stdin, stdout = t.cast(t.IO[str], self.process.stdin), t.cast(t.IO[str], self.process.stdout)
        stdin.write(f". {self.script} </dev/null\necho {END}\n")
        stdin.flush()
        said = ""
        for line in stdout:
            if line.rstrip() == END:
                return said
            said += line
            with self.transcript.open("a") as transcript:
                transcript.write(line)
        raise AssertionError(f"{script}\n{said}")

    def close(self) -> None:
        self.process.communicate(timeout=60)


class Reader:
    """Somebody with a page, a folder and a few files to upload."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.u01 = folder / "u01"
        self.here = folder / "here"
        self.home = folder / "home"
        self.root = folder / "service"
        self.password = secret(secrets.token_urlsafe(18))
        ports = {"service": free_port(), "quickstart": free_port(), "trial": free_port()}
        self.stand_ins = {
            "https://db1.example:8443": f"https://127.0.0.1:{ports['service']}",
            "localhost:8443": f"127.0.0.1:{ports['service']}",
            "0.0.0.0": "127.0.0.1",
            "[10.0.3.0/24]": "[]",  # a firewall belongs to a host, not to a plain process
            "18443": str(ports["quickstart"]),
            "/u01/": f"{self.u01}/",
            "/home/me/": f"{folder}/",
            "/etc/pki/": f"{folder}/pki/",
        }
        for name in ("here/build", "u01/exports", "u01/backup", "u01/checkpoints", "pki", "home"):
            (folder / name).mkdir(parents=True)
        make_file(self.u01 / "exports" / "sales.dmp", 20 * MiB, seed=1)
        make_file(self.u01 / "exports" / "archive.dmp", 100 * MiB, seed=2)
        make_file(self.here / "build" / "weights.safetensors", 30 * MiB, seed=3)
        for number in (1, 2, 3):
            make_file(self.u01 / "checkpoints" / f"gpu0{number}.safetensors", 20 * MiB, seed=10 + number)
        stand_ins = {
            "vars": {
                "ansible_connection": "local",
                "ansible_become": False,
                "ansible_python_interpreter": sys.executable,
                "vault_dba_password": "{{ lookup('ansible.builtin.env', 'VAULT_DBA_PASSWORD') }}",
                "oracle_assembler_manager": "process",
                "oracle_assembler_root": str(self.root),
                "oracle_assembler_port": ports["service"],
                "upload_client_root": str(folder / "client"),
            },
            "hosts": {"localhost": {"oracle_assembler_port": ports["trial"]}, "db1": {}, "exporter": {}},
        }
        (folder / "stand-ins.yml").write_text(json.dumps({"all": stand_ins}))

    def environment(self) -> dict[str, str]:
        """What the reader's shell begins with."""
        return {
            **os.environ,
            "PATH": os.pathsep.join([str(PROGRAMS), str(BIN), os.environ["PATH"]]),
            "HOME": str(self.home),
            "ANSIBLE_HOME": str(self.home / ".ansible"),
            "ANSIBLE_COLLECTIONS_PATH": collections_path(),
            "ANSIBLE_INVENTORY": f"{self.here / 'inventory.yml'},{self.folder / 'stand-ins.yml'}",
            "ANSIBLE_NOCOLOR": "1",
            "VAULT_DBA_PASSWORD": self.password,
            "BIGFILE_PASSWORD": self.password,
            "EXPORTS": str(self.u01 / "exports"),
            "DUMPS": str(self.u01 / "uploads" / "dba" / "dumps"),
        }

    def here_it_is(self, text: str) -> str:
        """A block as it is for this reader."""
        for theirs, ours in self.stand_ins.items():
            text = text.replace(theirs, ours)
        return text

    def follow(self, todo: t.Iterable[Block], shell: Shell) -> str:
        """Write and run the blocks; what the commands said."""
        said = ""
        for block in todo:
            text = self.here_it_is(block.text)
            if block.language == "sh":
                said += shell.run(text)
            else:
                file = self.here / block.file
                file.parent.mkdir(exist_ok=True)
                file.write_text(text)
        return said

    def digests(self, *folders: Path) -> dict[Path, str]:
        """SHA-256 of all files below the folders."""
        return {path: sha256_of(path) for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def galaxy(base: Path) -> t.Iterator[Galaxy]:
    """Where ansible-galaxy finds the collection as it would be published."""
    folder = base / "package"
    subprocess.run([str(BIN / "ansible-galaxy"), "collection", "build", "--output-path", str(folder), str(ROOT)], check=True)
    [package] = folder.glob("*.tar.gz")
    with Galaxy(package) as running:
        yield running


@pytest.fixture(scope="module")
def reader(base: Path) -> t.Iterator[Reader]:
    found = Reader(base / "docs")
    yield found
    for control in (found.root / "control", found.home / "bigfile-oci-quickstart/service/control", found.folder / "assembler/control"):
        if control.exists():
            subprocess.run([str(control), "stop"], check=True, timeout=60)


@pytest.fixture(scope="module")
def shells(reader: Reader, galaxy: Galaxy) -> t.Iterator[dict[str, Shell]]:
    """One for each page."""
    environment = reader.environment()
    # Who gets started has nothing yet: no collection, no inventory, no libraries. There is a Galaxy, and the ansible-core that we pin.
    anew = {name: text for name, text in environment.items() if name not in ("ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_INVENTORY")}
    anew |= {"ANSIBLE_GALAXY_SERVER": galaxy.url, "PIP_CONSTRAINT": str(ROOT / "tests" / "requirements" / "ansible.txt")}
    trusting = {**environment, "BIGFILE_CA_PATH": str(reader.root / "etc" / "self_signed.pem")}
    environments = {GETTING_STARTED: anew, **dict.fromkeys(ROLES, trusting)}
    found = {page: Shell(reader.here, environments.get(page, environment)) for page in PAGES}
    yield found
    for shell in found.values():
        shell.close()


EXPECTED = {
    "Upload a file of your own": [r"([0-9a-f]{64}) .*\n\1 "],
    "Interrupt it": [r"Not done", r'"resumed": true'],
    "An RMAN backup set, in a loop": [r"3 of 3 pieces were new", r"3 of 6 pieces were new"],
    "Model weights, from a pipeline": [r"models/weights\.safetensors: 31457280 bytes, SHA-256 [0-9a-f]{64}"],
    "After a night that was too short": [r"The next night continues", r"[1-9]\d* of 21 parts were there"],
    "Many hosts, one line": [r"gpu03\s+: ok=1\s+changed=1"],
}
"""What a section's commands have to say, besides ending well."""

PUBLISHED = {
    "Use it": ["dumps/sales.dmp", "weights.safetensors"],
    "A Data Pump export to a database host": ["dumps/sales_01.dmp", "dumps/sales_02.dmp"],
    "Model weights, from a pipeline": ["models/weights.safetensors"],
    "bigfile.oci.upload_client": ["sales.dmp"],
    "Many hosts, one line": [f"checkpoints/gpu0{number}.safetensors" for number in (1, 2, 3)],
    "After a night that was too short": ["night/archive.dmp"],
    "Pinning the key of the service": ["pinned/sales_01.dmp"],
    "The key at the stitch call, and why": ["confidential/archive.dmp"],
}
"""What is to be there after a section, below the folder of the user."""


@pytest.mark.parametrize(("page", "section"), SECTIONS)
def test_what_the_page_says_works(reader: Reader, shells: dict[str, Shell], page: str, section: str) -> None:
    said = reader.follow([block for block in blocks(page) if block.section == section], shells[page])
    for word in EXPECTED.get(section, ()):
        assert re.search(word, said), said
    sources = reader.digests(reader.u01 / "exports", reader.u01 / "backup", reader.u01 / "checkpoints", reader.here / "build")
    published = reader.digests(reader.root / "data", reader.u01 / "uploads")
    assert {(path.name, digest) for path, digest in published.items()} <= {(path.name, digest) for path, digest in sources.items()}
    for place in PUBLISHED.get(section, ()):
        assert any(str(path).endswith(f"/dba/{place}") for path in published), published


@pytest.mark.parametrize("module", MODULES)
def test_what_the_documentation_of_the_modules_says_works(reader: Reader, shells: dict[str, Shell], module: str) -> None:
    make_file(reader.u01 / "backup" / "full.bkp", 20 * MiB, seed=4)
    examples = importlib.import_module(f"ansible_collections.bigfile.oci.plugins.modules.{module}").EXAMPLES
    endpoint = reader.here_it_is("https://db1.example:8443")
    server = f"lookup('ansible.builtin.url', '{endpoint}/v1/server', validate_certs=false, split_lines=false)"
    play = {
        "hosts": "exporter",
        "gather_facts": False,
        "vars": {"assembler_public_key": f"{{{{ ({server} | from_json).public_key }}}}"},
        "environment": {"BIGFILE_ENDPOINT": endpoint, "BIGFILE_USERNAME": "dba"},
        "tasks": yaml.safe_load(reader.here_it_is(examples)),
    }
    assert play["tasks"]
    (reader.here / "examples.yml").write_text(yaml.safe_dump([play]))
    shells[ROLES[0]].run("ansible-playbook examples.yml")


@pytest.mark.parametrize("page", PAGES)
def test_every_playbook_of_the_page_is_run_by_one_of_its_commands(page: str) -> None:
    commands = "\n".join(block.text for block in blocks(page) if block.language == "sh")
    for block in blocks(page):
        if block.language == "yaml" and isinstance(yaml.safe_load(block.text), list):
            assert re.search(rf"^ansible-playbook .*\b{re.escape(block.file)}\b", commands, re.MULTILINE), block.file


def test_what_is_expected_is_expected_of_sections_that_there_are() -> None:
    assert {*EXPECTED, *PUBLISHED} <= {section for _page, section in SECTIONS}
