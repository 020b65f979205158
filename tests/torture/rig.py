"""Service and client in a world that launch.py sets wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from ansible_collections.bigfile.oci.tests.integration.conftest import Client, MiB, Run, Service, make_file, sha256_of, until

LAUNCH = Path(__file__).with_name("launch.py")
KILLED = -9


def launched(**wrong: t.Any) -> list[str]:
    """What to put before a module's name."""
    return [sys.executable, str(LAUNCH), json.dumps(wrong)]


class WrongService(Service):
    """A service that may be started in a world of its own."""

    wrong: t.Mapping[str, t.Any] = {}

    def command(self, *arguments: str) -> list[str]:
        return [*launched(**self.wrong), "oracle_assembler", "--config", str(self.config), *arguments]

    def start(self, **wrong: t.Any) -> WrongService:
        self.wrong = wrong
        super().start()
        return self

    def is_alive(self) -> bool:
        """Whether it was not killed yet."""
        return self.process is not None and self.process.poll() is None

    def died(self, seconds: float = 60) -> None:
        """Wait until it was killed, which has to happen."""
        assert self.process is not None
        assert self.process.wait(seconds) == KILLED
        self.process = None


class Scene:
    """An older file at the destination, a source, a service and a client.

    :param root: where service and client keep what must survive, such as a disk of their own
    """

    def __init__(self, folder: Path, root: Path | None = None, **settings: t.Any) -> None:
        self.folder, root = folder, root or folder / "kept"
        places = {"data_dir": str(root / "data"), "state_dir": str(root / "state")}
        self.service = WrongService(folder / "service", **{**places, **settings})
        self.service.data, self.service.state = root / "data", root / "state"
        self.client = WrongClient(folder / "client", self.service)
        self.client.journal = root / "journal" / "journal.db"
        self.published = self.service.root / "dumps" / "exp.bin"
        self.old_digest = sha256_of(make_file(self.published, MiB, seed=2))

    def source(self, size: int) -> Path:
        """Something to upload."""
        return make_file(self.folder / "source.bin", size)

    def whole(self, source: Path) -> None:
        """Readers see the old file or the new one."""
        assert sha256_of(self.published) in (self.old_digest, sha256_of(source)), "what is published is neither"

    def complete(self, source: Path) -> None:
        """The end of every story."""
        assert sha256_of(self.published) == sha256_of(source)
        assert self.service.leftovers() == []
        assert pending_keys(self.client) == []

    def sweep(self) -> None:
        """Start the service anew as if all its uploads were of the week before last, and wait until it has cleaned up."""
        self.service.stop()
        self.service.config.write_text(json.dumps({**json.loads(self.service.config.read_text()), "upload_age": 1}))
        time.sleep(1.1)
        self.service.start()
        until(lambda: self.service.leftovers() == [])


class WrongClient(Client):
    """Runs the module in a world of its own."""

    def set_out(self, src: Path, *, wrong: t.Mapping[str, t.Any] | None = None, **options: t.Any) -> subprocess.Popen[bytes]:
        """Start an upload."""
        before = launched(preload="ansible.module_utils.basic", **(wrong or {}))
        return self.start(before=before, src=str(src), **options)

    def tell(self, src: Path, **options: t.Any) -> Run:
        """An upload to its end, which must be a good one or a clear error."""
        run = self.finish(self.set_out(src, **options))
        assert run.code == 0 or told(run), run.text
        return run


def told(run: Run) -> bool:
    """Whether a run that failed said why, in a sentence and not in a traceback."""
    return run.result.get("failed") is True and len(str(run.result.get("msg", ""))) > 20 and "Traceback" not in run.text


def pending_keys(client: Client) -> list[str]:
    """What the journal still knows besides digests."""
    return [key for key in client.journal_keys() if not key.startswith("digest:")]
