"""The root file systems that hosts are copies of: made once by debootstrap, and kept outside of the tree.

A root is named after a digest of all that it is made from, so a changed recipe makes another one. It is whole or absent: it is made
under another name, and one process at a time makes any. BIGFILE_HOSTS_CACHE names another place, BIGFILE_HOSTS_MIRROR another mirror.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import typing as t
from pathlib import Path

CACHE = Path(os.environ.get("BIGFILE_HOSTS_CACHE", "/var/cache/bigfile-hosts"))
MIRROR = os.environ.get("BIGFILE_HOSTS_MIRROR", "http://deb.debian.org/debian")

PACKAGES = ["ca-certificates", "dbus", "firewalld", "iproute2", "iptables-persistent", "libpam-systemd", "nftables", "nginx-light"]
PACKAGES += ["openssh-server", "openssl", "procps", "python3", "sudo", "systemd", "systemd-sysv"]
"""What a server image has, and what the role asks for or a scenario starts on it."""

STORED = ["python3-apt", "python3-venv"]
"""What can be installed later, without an index in reach."""

ADMIN = "opc"
"""Who logs in, as on images of Oracle Cloud: no password, but a key, and sudo."""

FINISH = f"""
set -e
systemctl --quiet enable systemd-networkd
systemctl --quiet disable firewalld netfilter-persistent nginx nftables
useradd --create-home --shell /bin/bash {ADMIN}
printf '%s ALL=(ALL) NOPASSWD:ALL\\n' {ADMIN} >/etc/sudoers.d/{ADMIN}
apt-get -qq clean && apt-get -qq update && apt-get -qq install --download-only {" ".join(STORED)}
rm -rf /etc/iptables/* /etc/ssh/ssh_host_* /usr/share/doc /usr/share/man /usr/share/locale
: >/etc/machine-id
"""


def root_of(release: str) -> Path:
    """The root of a Debian release, made now unless it is there."""
    recipe = "\n".join([release, MIRROR, *PACKAGES, FINISH])
    root = CACHE / f"{release}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    with _alone():
        if not root.exists():
            _make(release, root)
    return root


def _make(release: str, root: Path) -> None:
    unfinished = root.with_suffix(".unfinished")
    log = root.with_suffix(".log")
    shutil.rmtree(unfinished, ignore_errors=True)
    bootstrap = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", release, str(unfinished), MIRROR]
    with log.open("wb") as output:
        for command in (bootstrap, ["chroot", str(unfinished), "sh", "-c", FINISH]):
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
            if done.returncode != 0:
                raise OSError(f"{' '.join(command[:3])} … failed, see {log}")
    unfinished.rename(root)


@contextlib.contextmanager
def _alone() -> t.Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
