"""A real service and the real module, for the promises that only the two together can keep.

The service is started from the role's files, the module is run as Ansible runs it on a host: a process of its own with its options in
JSON. All that they leave behind stays below pytest's base folder, where test_zz_secrets.py looks through it in the end.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import random
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
SERVICE_FILES = ROOT / "roles" / "oracle_assembler" / "files"
MODULES = "ansible_collections.bigfile.oci.plugins.modules"
MiB = 1 << 20

SECRETS: set[str] = set()
"""Whatever must not be found in any log, error, journal or file of the service when all tests are over."""


def secret(text: str) -> str:
    """Remember a secret for test_zz_secrets.py, which may be another process: then BIGFILE_SECRETS names a file for them."""
    SECRETS.add(text)
    if "BIGFILE_SECRETS" in os.environ:
        with open(os.environ["BIGFILE_SECRETS"], "a", encoding="ascii") as file:
            file.write(f"{text}\n")
    return text


def scrypt_hash(password: str) -> str:
    """A password hash as the service's configuration carries it; a cheap one, as hundreds of tests log in."""
    salt = os.urandom(16)
    derived = hashlib.scrypt(password.encode(), salt=salt, n=1 << 4, r=8, p=1, dklen=32)
    encoded = [base64.b64encode(part).decode().rstrip("=") for part in (salt, derived)]
    return "$scrypt$ln=4,r=8,p=1$" + "$".join(encoded)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(MiB):
            digest.update(block)
    return digest.hexdigest()


def make_file(path: Path, size: int, seed: int = 1) -> Path:
    """A file of random bytes, the same ones for the same seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = random.Random(seed)
    with path.open("wb") as file:
        for start in range(0, size, MiB):
            file.write(source.randbytes(min(MiB, size - start)))
    return path


def until(condition: t.Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something that another process is to bring about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"nothing of it within {seconds} seconds"
        time.sleep(0.01)


def peak_of(pid: int) -> int:
    """Peak resident bytes of a process that is alive, else 0. (What wait4 tells begins with the memory of whoever started it.)"""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def follow_peak(process: subprocess.Popen[bytes], peaks: list[int]) -> None:
    """Keep the peak of a process in ``peaks`` until it ends."""
    while process.poll() is None:
        peaks[0] = max(peaks[0], peak_of(process.pid))
        time.sleep(0.02)


def watch(process: subprocess.Popen[str], seen: set[str]) -> None:
    """Note the command line of every process until ``process`` ends. (It looks often, so it does little for what it knows.)"""
    known: set[bytes] = set()
    while process.poll() is None:
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
                line = file.readall()
                if line not in known:
                    known.add(line)
                    seen.add(line.replace(b"\0", b" ").decode(errors="replace"))
        time.sleep(0.05)


class Service:
    """The service oracle_assembler as a process of its own."""

    def __init__(self, folder: Path, **settings: t.Any) -> None:
        self.folder = folder
        self.password = secret(secrets.token_urlsafe(18))
        self.other_password = secret(secrets.token_urlsafe(18))
        self.data = folder / "data"
        self.state = folder / "state"
        self.log = folder / "service.log"
        self.host = settings.setdefault("listen", "127.0.0.1")
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.tls = "tls_certificate" in settings
        users = [
            {"name": "dba", "password_hash": scrypt_hash(self.password), "folder": "dba", "quota": None},
            {
                "name": "other",
                "password_hash": scrypt_hash(self.other_password),
                "folder": "other",
                "quota": settings.pop("quota", None),
            },
        ]
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "config.json"
        self.config.write_text(
            json.dumps(
                {
                    "port": self.port,
                    "data_dir": str(self.data),
                    "state_dir": str(self.state),
                    "users": users,
                    **settings,
                }
            )
        )

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    @property
    def root(self) -> Path:
        """The folder of the user dba."""
        return self.data / "dba"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "oracle_assembler", "--config", str(self.config), *arguments]

    def start(self) -> Service:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command("serve"),
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(SERVICE_FILES)},
                start_new_session=True,
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{self.url}/healthz", timeout=2, verify=False).status_code == 200:
                    return self
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"the service does not start:\n{self.log.read_text()[-4000:]}")

    def processes(self) -> list[int]:
        """The service's main process and all below it."""
        if self.process is None:
            return []
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    todo += [int(child) for child in (task / "children").read_text().split()]
        return found

    def peak_memory(self) -> int:
        """Peak resident bytes, all processes added up."""
        return sum(peak_of(pid) for pid in self.processes())

    def kill(self) -> None:
        """SIGKILL, as the kernel's out-of-memory killer would, to all of it."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait(10)
        self.process = None

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def token(self) -> str:
        answer = requests.post(f"{self.url}/v1/token", json={"username": "dba", "password": self.password}, timeout=10, verify=False)
        answer.raise_for_status()
        return secret(answer.json()["token"])

    def call(self, method: str, route: str, **request: t.Any) -> requests.Response:
        """A request past our own client."""
        headers = {"Authorization": f"Bearer {self.token()}", **request.pop("headers", {})}
        return requests.request(method, self.url + route, headers=headers, timeout=60, verify=False, **request)

    def leftovers(self) -> list[str]:
        """What the service has in the data folder besides published files."""
        return [str(path) for path in self.data.rglob(".*") if path.name.endswith((".segments", ".partial"))]


class Run(t.NamedTuple):
    """A module run that ended."""

    code: int
    result: dict[str, t.Any]
    text: str
    peak: int
    """Peak resident bytes."""
    seconds: float


class Client:
    """Runs our modules against a service."""

    def __init__(self, folder: Path, service: Service) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.service = service
        self.journal = folder / "state" / "journal.db"
        self.transcript = folder / "transcript.txt"

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "BIGFILE_ENDPOINT": self.service.url,
            "BIGFILE_USERNAME": "dba",
            "BIGFILE_PASSWORD": self.service.password,
            "BIGFILE_JOURNAL": str(self.journal),
            **more,
        }

    def start(
        self,
        module: str = "oci_chunked_upload",
        *,
        before: t.Sequence[str] = (),
        environment: dict[str, str] | None = None,
        **options: t.Any,
    ) -> subprocess.Popen[bytes]:
        """A module process; ``before`` are words to put before its command, such as strace's."""
        shown = {"_ansible_check_mode": options.pop("check_mode", False), "_ansible_diff": options.pop("diff", False)}
        encryption_key = options.get("encryption_key")
        if encryption_key:
            secret(encryption_key)
        payload = json.dumps({"ANSIBLE_MODULE_ARGS": {**options, **shown}})
        process = subprocess.Popen(
            [*before, sys.executable, "-m", f"{MODULES}.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment or self.environment(),
            start_new_session=True,
        )
        stdin = t.cast(t.IO[bytes], process.stdin)
        stdin.write(payload.encode("utf-8", "surrogateescape"))
        stdin.close()
        return process

    def finish(self, process: subprocess.Popen[bytes], timeout: float = 300) -> Run:
        begun = time.monotonic()
        timer = threading.Timer(timeout, process.kill)
        timer.start()
        peaks = [0]
        watch = threading.Thread(target=follow_peak, args=(process, peaks))
        watch.start()
        output = t.cast(t.IO[bytes], process.stdout).read().decode("utf-8", "replace")
        process.wait()
        timer.cancel()
        watch.join()
        with self.transcript.open("a") as transcript:
            transcript.write(output)
        result = {}
        for line in output.splitlines():
            with contextlib.suppress(ValueError):
                found = json.loads(line)
                result = found if isinstance(found, dict) else result
        return Run(process.returncode, result, output, peaks[0], time.monotonic() - begun)

    def run(self, module: str = "oci_chunked_upload", **options: t.Any) -> Run:
        """Run a module to its end, whatever that is."""
        return self.finish(self.start(module, **options))

    def upload(self, src: Path | str, **options: t.Any) -> dict[str, t.Any]:
        """Upload, which has to go well; the result."""
        run = self.run(src=str(src), **options)
        assert run.code == 0, run.text
        return run.result

    def refused(self, **options: t.Any) -> str:
        """A run that has to fail with one clear sentence; the sentence."""
        run = self.run(**options)
        assert run.result.get("failed") is True, run.text
        assert "Traceback" not in run.text, run.text
        return str(run.result["msg"])

    def info(self, **options: t.Any) -> dict[str, t.Any]:
        run = self.run("oci_chunked_upload_info", **options)
        assert run.code == 0, run.text
        return run.result

    def _journal_rows(self, prefix: str) -> list[tuple[str, t.Any]]:
        """Keys and values of the journal, read past our own code; none while it is being made."""
        if not self.journal.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.journal)) as store, contextlib.suppress(sqlite3.OperationalError):
            rows = store.execute("SELECT key, value FROM kv WHERE key LIKE ? ORDER BY key", [f"{prefix}%"]).fetchall()
            return [(key, json.loads(value)) for key, value in rows]
        return []

    def journal_keys(self) -> list[str]:
        """All keys of the journal."""
        return [key for key, _value in self._journal_rows("")]

    def parts_noted(self) -> int:
        """Parts that the journal has as acknowledged."""
        return sum(len(set(block)) for _key, block in self._journal_rows("parts:"))

    def until_noted(self, count: int) -> None:
        """Wait until so many parts are noted."""
        until(lambda: self.parts_noted() >= count)

    def pending_entries(self) -> list[dict[str, t.Any]]:
        """The pending uploads in the journal; their random keys are secrets from now on."""
        entries = [value for _key, value in self._journal_rows("upload:")]
        for entry in entries:
            if entry["key"]:
                secret(entry["key"])
                secret(base64.b64decode(entry["key"]).hex())
        return entries


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("integration")


@pytest.fixture(scope="module")
def service(request: pytest.FixtureRequest, base: Path) -> t.Iterator[Service]:
    running = Service(base / request.module.__name__ / "service").start()
    yield running
    running.stop()


@pytest.fixture
def client(request: pytest.FixtureRequest, base: Path, service: Service) -> Client:
    name = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in request.node.name)[:40]
    name += hashlib.sha256(request.node.name.encode()).hexdigest()[:8]
    return Client(base / request.module.__name__ / name, service)


@pytest.fixture
def work(client: Client) -> t.Iterator[Path]:
    """A folder for sources; emptied after the test, as these files are large."""
    folder = client.folder / "sources"
    folder.mkdir()
    yield folder
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()


@pytest.fixture(autouse=True)
def emptied(request: pytest.FixtureRequest) -> t.Iterator[None]:
    """Published files go after each test; the next one needs the room."""
    yield
    if "service" in request.fixturenames:
        running: Service = request.getfixturevalue("service")
        for path in running.data.rglob("*"):
            if path.is_file() and path.suffix != ".partial" and ".segments" not in str(path):
                path.unlink()
