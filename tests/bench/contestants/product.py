"""Ours: the engine alone in all its variants, and the module as Ansible runs it."""

from __future__ import annotations

import contextlib
import os
import shutil
import typing as t
from pathlib import Path

from ...integration.conftest import Service
from .. import ours
from ..contest import Contestant, Sample, sample
from ..load import Load
from ..servers import Ssh
from . import playbook

FOLDER = "bench"
"""Where the files land, below the folder of the user."""
DEFAULT = "engine, sealed"
AT_STITCH = "engine, sealed, key at_stitch"
PLAIN_TLS = "engine, not sealed, TLS"
MODULE_SSH = "module, managed over ssh"

VARIANTS: dict[str, dict[str, t.Any]] = {
    AT_STITCH: {"release_key": "at_stitch"},
    **{f"engine, sealed, {count} thread{'s' * (count > 1)}": {"threads": count} for count in (1, 2, 8)},
    **{f"engine, sealed, parts of {size} MiB": {"part_size": f"{size}M"} for size in (5, 16, 64)},
}
"""Options that differ from the defaults (4 threads, parts of a 64th of the file, the key with the parts): one at a time."""


class Product:
    """A service of ours and what sends to it.

    :param room: where the journals go
    :param few: how many of many files Ansible is given
    """

    def __init__(self, running: Service, room: Path, few: int, certificate: ours.Tls | None = None) -> None:
        self._running = running
        self._room = room
        self._few = few
        self._connection = ours.connection(running, certificate)

    def _orders(self, load: Load, options: dict[str, t.Any]) -> list[dict[str, t.Any]]:
        return [{**self._connection, **options, "src": str(path), "dest": f"{FOLDER}/{path.name}"} for path in load.sources]

    def engine(self, name: str, *, variant: bool = False, many: bool = True, **options: t.Any) -> Contestant:
        """The engine alone, with these options of the module; ``variant`` and ``many`` are those of a contestant."""

        def send(load: Load) -> Sample:
            run = ours.engine_run(self._running, self._orders(load, options), journal=self._room / "engine" / "journal.db")
            return sample(run.measured, engine=run.seconds)

        return Contestant(name, "ours", send, self._running.root / FOLDER, variant=variant, many=many)

    def module(self, name: str, host: str, environment: dict[str, str], *, ssh: Ssh | None = None) -> Contestant:
        """The module, run by Ansible on ``host``; over ssh that is a managed host, which has the file."""

        def send(load: Load) -> Sample:
            # The journal knows the digest of a source that was sent before; each run is to be a first one.
            shutil.rmtree(self._room / "module", ignore_errors=True)
            journal = self._room / "module" / "journal.db"
            orders = [{**order, "journal": str(journal)} for order in self._orders(load, {})]
            sides = {"helpers": [ssh.pid] if ssh else [], "server": [ours.pid_of(self._running)]}
            if load.files > 1:
                return sample(playbook.loop("bigfile.oci.oci_chunked_upload", orders, host, self._room, environment, **sides))
            measured = playbook.adhoc("bigfile.oci.oci_chunked_upload", orders[0], host, environment, **sides)
            return sample(measured, engine=playbook.result(measured)["duration"])

        return Contestant(name, "ours", send, self._running.root / FOLDER, most=self._few, many=ssh is not None)


@contextlib.contextmanager
def contestants(room: Path, certificate: ours.Tls, ssh: Ssh | None, *, few: int) -> t.Iterator[list[Contestant]]:
    """All of ours; over ssh if there is an sshd. Of many files Ansible is given ``few``."""
    with ours.service(room / "http") as plain, ours.service(room / "https", certificate) as secured:
        http, https = Product(plain, room, few), Product(secured, room, few, certificate)
        yield [
            http.engine(DEFAULT),
            https.engine("engine, sealed, TLS", many=False),
            https.engine(PLAIN_TLS, many=False, encrypt=False),
            *(http.engine(name, variant=True, **options) for name, options in VARIANTS.items()),
            http.module("module, local", "localhost", dict(os.environ)),
            *([http.module(MODULE_SSH, ssh.host, ssh.environment, ssh=ssh)] if ssh else []),
        ]
