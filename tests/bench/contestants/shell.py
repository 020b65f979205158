"""What people type: scp, sftp and rsync over ssh, rclone crypt to WebDAV; and for plain bytes curl to nginx and tus."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

from .. import measure
from ..contest import Contestant, Sample, Undelivered, durable, sample
from ..load import Load
from ..ours import Tls
from ..servers import Nginx, Rclone, Ssh, Tus

AES = ["-c", "aes256-gcm@openssh.com"]
"""OpenSSH's fastest cipher on processors with AES; as it comes it takes ChaCha20-Poly1305."""
LARGEST_WRITE = "261120"
"""Bytes: 255 KiB, the most that OpenSSH's server takes in one message."""
CURL_TLS = "curl -T to nginx, https"

Words = list[str]


class Order(t.NamedTuple):
    """What to run for a load, and what it reads from stdin."""

    words: Words
    stdin: str = ""


def contestant(
    name: str,
    group: str,
    order: t.Callable[[Load], Order],
    *,
    server: int,
    target: Path,
    environment: dict[str, str] | None = None,
    arrived: t.Callable[[Load], None] | None = None,
) -> Contestant:
    """A command, to which the fsync is added that it leaves out."""

    def send(load: Load) -> Sample:
        words, stdin = order(load)
        return sample(measure.run(words, stdin=stdin, server=[server], environment=environment, settle=durable(target)))

    return Contestant(name, group, send, target, arrived=arrived)


def over_ssh(ssh: Ssh, target: Path, *, rsync: bool) -> list[Contestant]:
    """scp, sftp and, if there is one, rsync."""

    def copied(*words: str) -> t.Callable[[Load], Order]:
        return lambda load: Order([*words, *map(str, load.sources), f"{ssh.host}:{target}/"])

    def put(load: Load) -> Order:
        batch = "".join(f'put "{path}" "{target}/{path.name}"\n' for path in load.sources)
        return Order(["sftp", "-q", "-B", LARGEST_WRITE, "-R", "64", *AES, "-b", "-", ssh.host], batch)

    found: dict[str, t.Callable[[Load], Order]] = {
        "scp": copied("scp", "-q"),
        "scp, aes256-gcm": copied("scp", "-q", *AES),
        "sftp -B 255K -R 64, aes256-gcm": put,
    }
    if rsync:
        found["rsync over ssh"] = copied("rsync", "-e", "ssh")
        found["rsync over ssh, aes256-gcm, whole file"] = copied("rsync", "-e", f"ssh {' '.join(AES)}", "--whole-file", "--inplace")
    return [
        contestant(name, "encrypted", order, server=ssh.pid, target=target, environment=ssh.environment) for name, order in found.items()
    ]


def by_rclone(rclone: Rclone, target: Path) -> Contestant:
    """rclone crypt to ``rclone serve webdav``. What lands is what it encrypted; so it is not asked to open it, as all others are."""
    config = ["--config", str(rclone.config)]

    def arrived(load: Load) -> None:
        compared = subprocess.run(
            ["rclone", "check", *config, "--download", load.folder, "sealed:"], capture_output=True, text=True, check=False
        )
        if compared.returncode != 0:
            raise Undelivered(compared.stderr[-500:])

    def order(load: Load) -> Order:
        return Order(["rclone", "copy", "--ignore-times", *config, str(load.folder), "sealed:"])

    return contestant("rclone crypt to WebDAV", "encrypted", order, server=rclone.pid, target=target, arrived=arrived)


def by_curl(nginx: Nginx, target: Path, certificate: Tls) -> list[Contestant]:
    """The bar for plain bytes: a client in C, and a server in C that writes what it gets."""

    def order(url: str) -> t.Callable[[Load], Order]:
        words = ["curl", "--http1.1", "--silent", "--show-error", "--fail", "--cacert", str(certificate.certificate), "--config", "-"]
        return lambda load: Order(words, "".join(f'upload-file = "{path}"\nurl = "{url}/{path.name}"\n' for path in load.sources))

    return [
        contestant("curl -T to nginx, http", "plain", order(nginx.url), server=nginx.pid, target=target),
        contestant(CURL_TLS, "plain", order(nginx.tls_url), server=nginx.pid, target=target),
    ]


def by_tus(tus: Tus, target: Path) -> Contestant:
    """tuspy to @tus/server."""
    client = str(Path(__file__).parents[1] / "tus" / "client.py")

    def order(load: Load) -> Order:
        return Order([sys.executable, client, tus.url, *map(str, load.sources)])

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return contestant("tuspy to @tus/server", "plain", order, server=tus.pid, target=target, environment=environment)
