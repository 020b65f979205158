"""The servers of the peers, each a child of ours on a free port of loopback, with configuration and keys of its own: none of the system's is touched."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
import typing as t
from pathlib import Path

from ..integration.conftest import free_port
from .ours import Tls


class Server(t.NamedTuple):
    """A server that runs."""

    pid: int
    port: int


@contextlib.contextmanager
def running(command: t.Sequence[str | Path], port: int, log: Path, **more: str) -> t.Iterator[Server]:
    """A server process until the block is left; it is there when its port answers."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **more})
    try:
        _await(process, port, log)
        yield Server(process.pid, port)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} does not start:\n{log.read_text(errors='replace')[-2000:]}")


class Ssh(t.NamedTuple):
    """An sshd that runs, and how its clients are told of it."""

    pid: int
    host: str
    """The name by which the clients know it."""
    environment: dict[str, str]
    """With this, ssh, scp and sftp are found as they always are, but read our configuration alone."""


SSHD_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {room}/host_key
AuthorizedKeysFile {room}/user_key.pub
PidFile none
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
StrictModes no
SetEnv HOME={home}
Subsystem sftp {sftp_server}
"""

SSH_CONFIG = """\
Host bench
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile {room}/user_key
    IdentitiesOnly yes
    UserKnownHostsFile {room}/known_hosts
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
"""

SFTP_SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server")


@contextlib.contextmanager
def sshd(room: Path) -> t.Iterator[Ssh]:
    """OpenSSH with its ciphers as they come, for the user who runs this."""
    room.mkdir(parents=True, exist_ok=True)
    port = free_port()
    for name in ("host_key", "user_key"):
        if not (room / name).exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", room / name], check=True)
    names = {"port": port, "room": room, "home": os.environ["HOME"], "user": getpass.getuser()}
    names["sftp_server"] = next(filter(os.path.exists, SFTP_SERVERS), "internal-sftp")
    (room / "known_hosts").write_text(f"[127.0.0.1]:{port} {(room / 'host_key.pub').read_text()}")
    (room / "sshd_config").write_text(SSHD_CONFIG.format(**names))
    (room / "ssh_config").write_text(SSH_CONFIG.format(**names))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it locks itself in; usually made when the system's own sshd starts
    command: list[str | Path] = [_tool("sshd"), "-D", "-e", "-f", room / "sshd_config"]
    with running(command, port, room / "sshd.log") as server:
        yield Ssh(server.pid, "bench", {**os.environ, "PATH": f"{_clients(room)}:{os.environ['PATH']}"})


def _clients(room: Path) -> Path:
    """A folder of clients that read our configuration and not the user's, which they would find even with another HOME."""
    folder = room / "bin"
    folder.mkdir(exist_ok=True)
    for name in ("ssh", "scp", "sftp"):
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {_tool(name)} -F {room}/ssh_config "$@"\n')
        script.chmod(0o755)
    return folder


NGINX_CONFIG = """\
daemon off;
pid {room}/nginx.pid;
error_log stderr warn;
worker_processes auto;
{user}
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {room}/bodies;
    proxy_temp_path {room}/proxy;
    fastcgi_temp_path {room}/fastcgi;
    uwsgi_temp_path {room}/uwsgi;
    scgi_temp_path {room}/scgi;
    dav_methods PUT;
    server {{
        listen 127.0.0.1:{port};
        root {target};
    }}
    server {{
        listen 127.0.0.1:{tls_port} ssl;
        root {target};
        ssl_protocols TLSv1.3;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
    }}
}}
"""


class Nginx(t.NamedTuple):
    """An nginx that takes files by PUT, in the clear and over TLS."""

    pid: int
    url: str
    tls_url: str


@contextlib.contextmanager
def nginx(room: Path, target: Path, certificate: Tls) -> t.Iterator[Nginx]:
    """nginx with its WebDAV module; what it takes lands in ``target``."""
    room.mkdir(parents=True, exist_ok=True)
    port, tls_port = free_port(), free_port()
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    names = {"room": room, "target": target, "port": port, "tls_port": tls_port, "user": user}
    (room / "nginx.conf").write_text(NGINX_CONFIG.format(**names, **certificate._asdict()))
    command: list[str | Path] = [_tool("nginx"), "-p", room, "-e", "stderr", "-c", room / "nginx.conf"]
    with running(command, port, room / "nginx.log") as server:
        yield Nginx(server.pid, f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}")


RCLONE_CONFIG = """\
[dav]
type = webdav
url = http://127.0.0.1:{port}
vendor = other

[sealed]
type = crypt
remote = dav:
filename_encryption = off
directory_name_encryption = false
password = {password}
"""


class Rclone(t.NamedTuple):
    """An rclone that serves a folder, and the configuration that makes a client encrypt for it."""

    pid: int
    config: Path


@contextlib.contextmanager
def rclone(room: Path, target: Path) -> t.Iterator[Rclone]:
    """``rclone serve webdav``; what it takes lands in ``target``."""
    room.mkdir(parents=True, exist_ok=True)
    port, config = free_port(), room / "rclone.conf"
    obscured = subprocess.run(["rclone", "obscure", "bench"], check=True, capture_output=True, text=True).stdout.strip()
    config.write_text(RCLONE_CONFIG.format(port=port, password=obscured))
    command: list[str | Path] = ["rclone", "serve", "webdav", "--config", config, "--addr", f"127.0.0.1:{port}", target]
    command += ["--dir-cache-time", "0s"]  # else it believes that what the last turn sent is still there
    with running(command, port, room / "rclone.log") as server:
        yield Rclone(server.pid, config)


class Tus(t.NamedTuple):
    """A tus server."""

    pid: int
    url: str


@contextlib.contextmanager
def tus(room: Path, installed: Path, target: Path) -> t.Iterator[Tus]:
    """``@tus/server`` with its file store; what it takes lands in ``target``. ``installed`` is the folder with server.mjs and its packages."""
    room.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command: list[str | Path] = ["node", installed / "server.mjs", str(port), target]
    with running(command, port, room / "tus.log") as server:
        yield Tus(server.pid, f"http://127.0.0.1:{port}/files")


def tool(name: str) -> str | None:
    """The full path of a program, also where only the administrator looks for it; none if it is not there."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _tool(name: str) -> str:
    found = tool(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not on this machine")
    return found
