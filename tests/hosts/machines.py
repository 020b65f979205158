"""Hosts that boot a real systemd in systemd-nspawn, on a network of their own that leads nowhere else. Needs root.

All that a site has stands in one folder: the hosts' file systems, a key, and what ssh needs to know. Bridge, addresses and machine names
follow from the folder's path, so two sites are in nobody's way, and what a killed run left is found again and known as ours.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
import typing as t
import uuid
from pathlib import Path

from . import roots

# A cgroup for each host: two systemds that manage one tree would end each other's services. $1 is its name, the command follows.
START = """
name=$1
shift
for procs in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/systemd/cgroup.procs /sys/fs/cgroup/unified/cgroup.procs; do
    [ -e "$procs" ] || continue
    mkdir -p "${procs%/*}/$name"
    echo $$ >"${procs%/*}/$name/cgroup.procs"
done
exec "$@"
"""

NETWORK = """[Match]
Name=host0

[Network]
Address={address}/24
LinkLocalAddressing=no
IPv6AcceptRA=no
"""

SSH = """Host {name} {address}
    HostName {address}
    User {admin}
    IdentityFile {folder}/key
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known_hosts
    StrictHostKeyChecking yes
    PasswordAuthentication no
    LogLevel ERROR

"""

TOOLS = ["debootstrap", "systemd-nspawn", "ip", "ssh", "ssh-keygen"]


def obstacle() -> str | None:
    """Why no host can be had here; None when one can."""
    if os.geteuid() != 0:
        return "Hosts are booted as root: run this as root."
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"Missing: {', '.join(missing)}. tests/gates/hosts --install brings them." if missing else None


class Host:
    """A host of a site. Its file system is there whether it runs or not."""

    def __init__(self, site: Site, name: str, address: str) -> None:
        self.site = site
        self.name = name
        self.address = address
        self.root = site.folder / name
        self.process: subprocess.Popen[bytes] | None = None
        self.machine = f"{site.bridge}{address.rpartition('.')[2]}"

    def install(self, release: str) -> None:
        """Give it a copy of a root, with what no two hosts share."""
        subprocess.run(["cp", "-a", "--reflink=auto", str(roots.root_of(release)), str(self.root)], check=True)
        (self.root / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n{self.address} {self.name}\n")
        (self.root / "etc/systemd/network/10-host0.network").write_text(NETWORK.format(address=self.address))
        home = self.root / "home" / roots.ADMIN
        (home / ".ssh").mkdir(mode=0o700)
        shutil.copy(self.site.folder / "key.pub", home / ".ssh/authorized_keys")
        for path in (home / ".ssh", home / ".ssh/authorized_keys"):
            os.chown(path, home.stat().st_uid, home.stat().st_gid)
        subprocess.run(["ssh-keygen", "-q", "-A", "-f", str(self.root)], check=True)
        with (self.site.folder / "known_hosts").open("a") as known:
            for public in (self.root / "etc/ssh").glob("ssh_host_*_key.pub"):
                known.write(f"{self.address} {' '.join(public.read_text().split()[:2])}\n")
        with (self.site.folder / "ssh_config").open("a") as config:
            config.write(SSH.format(name=self.name, address=self.address, admin=roots.ADMIN, folder=self.site.folder))

    def boot(self) -> None:
        """Start it, and wait until it is up and lets us in."""
        command = ["systemd-nspawn", "--register=no", "--keep-unit", "--quiet", f"--directory={self.root}", f"--machine={self.machine}"]
        command += [f"--hostname={self.name}", f"--network-bridge={self.site.bridge}", "--resolv-conf=off", "--timezone=off"]
        # Told as the kernel would be: a systemd that has given up the older control groups still starts on a machine that has no others.
        command += ["--link-journal=no", "--console=pipe", "--boot", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]
        with (self.site.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", START, "sh", self.machine, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 120  # other gates keep the cores busy meanwhile
        while True:
            with contextlib.suppress(OSError), socket.create_connection((self.address, 22), timeout=2) as door:
                if door.recv(4) == b"SSH-":
                    break
            if time.monotonic() > deadline:
                raise OSError(f"{self.name} does not come up, see {log.name}")
            time.sleep(0.1)
        self.call("systemctl is-system-running --wait || systemctl list-units --failed >&2")

    def cut_off(self) -> None:
        """Take its power away: nothing on it is asked to end."""
        self._hang_up()
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while self.pids():
            if self.process:
                self.process.poll()  # one that ended keeps its cgroup until we take notice
            if time.monotonic() > deadline:
                raise OSError(f"{self.name} does not end")
            time.sleep(0.05)
        while Path(f"/sys/class/net/vb-{self.machine}").exists():  # the kernel takes its wire away a moment later
            time.sleep(0.05)

    def reboot(self) -> None:
        """Have it end in good order, and boot it. (nspawn leaves the second half to whoever started it.)"""
        assert self.process
        self.call("systemctl reboot", check=False)
        self.process.wait(timeout=120)
        self.cut_off()
        self.boot()

    @contextlib.contextmanager
    def unplugged(self) -> t.Iterator[None]:
        """Its network is away meanwhile: nothing comes through, and nobody is told."""
        wire = f"vb-{self.machine}"
        subprocess.run(["ip", "link", "set", wire, "down"], check=True)
        try:
            yield
        finally:
            subprocess.run(["ip", "link", "set", wire, "up"], check=True)

    def _hang_up(self) -> None:
        """End our own connection, which the host would not do when it is gone."""
        subprocess.run(self.ssh("-O", "exit", self.name), stdin=subprocess.DEVNULL, capture_output=True, check=False)

    def pids(self) -> list[int]:
        """Of all its processes, whoever started it: those in its cgroup."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cgroup"):
            with contextlib.suppress(OSError):
                if self.machine in path.read_text().replace("\n", "/").split("/"):
                    found.append(int(path.parent.name))
        return found

    def ssh(self, *words: str) -> list[str]:
        """The words that run a shell command on it as the administrator, by one connection for all of them."""
        line = ["-o", "ControlMaster=auto", "-o", "ControlPersist=yes", "-o", f"ControlPath={self.site.folder / self.name}.ssh"]
        return ["ssh", "-F", str(self.site.folder / "ssh_config"), *line, *words]

    def call(self, command: str, *, check: bool = True, timeout: float = 120) -> str:
        """Run a shell command on it as root; what it printed."""
        words = self.ssh(self.name, f"sudo sh -c {shlex.quote(command)}")
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
        if check and done.returncode != 0:
            raise OSError(f"{self.name}: {command}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def status(self, command: str) -> int:
        """Run a shell command on it as root; how it ended."""
        words = self.ssh(self.name, f"sudo sh -c {shlex.quote(command)}")
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False).returncode


class Site:
    """Some hosts and the network between them and us."""

    def __init__(self, folder: Path, hosts: dict[str, str]) -> None:
        """``hosts``: names and their Debian releases."""
        self.folder = folder
        mark = hashlib.sha256(str(folder).encode()).digest()
        self.bridge = f"bf{mark.hex()[:4]}"
        self.net = f"10.{208 + mark[3] % 16}.{mark[2]}"
        self.releases = hosts
        self.hosts = {name: Host(self, name, f"{self.net}.{number}") for number, name in enumerate(hosts, 11)}

    @property
    def address(self) -> str:
        """Ours."""
        return f"{self.net}.1"

    def up(self) -> None:
        """Make all of it, from nothing."""
        self.down()
        self.folder.mkdir(parents=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.bridge, "-f", str(self.folder / "key")], check=True)
        subprocess.run(["ip", "link", "add", self.bridge, "type", "bridge"], check=True)
        subprocess.run(["ip", "address", "add", f"{self.address}/24", "dev", self.bridge], check=True)
        subprocess.run(["ip", "link", "set", self.bridge, "up"], check=True)
        for name, release in self.releases.items():
            self.hosts[name].install(release)
            self.hosts[name].boot()

    def down(self) -> None:
        """Remove all of it, whatever is there of it and whoever made it."""
        for host in self.hosts.values():
            host.cut_off()
            for group in ("", "systemd/", "unified/"):
                _remove_cgroup(Path(f"/sys/fs/cgroup/{group}{host.machine}"))
        if Path(f"/sys/class/net/{self.bridge}").exists():
            subprocess.run(["ip", "link", "delete", self.bridge], check=True)
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def __enter__(self) -> t.Self:
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.down()


def _remove_cgroup(group: Path) -> None:
    for folder, _folders, _files in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):  # the kernel may still be clearing away what ended in it
            os.rmdir(folder)
