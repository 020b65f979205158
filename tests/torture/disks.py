"""Disks to be broken: small file systems in a file, mounted through a loop device. Needs root."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from pathlib import Path

MiB = 1 << 20
_SHUTDOWN = 2 << 30 | 4 << 16 | ord("X") << 8 | 125
"""EXT4_IOC_SHUTDOWN (linux/ext4.h): from now on nothing reaches the disk, and everything is an I/O error."""
_WITHOUT_LOG = struct.pack("I", 2)
"""EXT4_GOING_FLAGS_NOLOGFLUSH: what the journal has not yet committed is lost, as when the power goes."""


class Disk:
    """A file system of so many MiB, at ``path``."""

    def __init__(self, folder: Path, size: int, kind: str = "ext4") -> None:
        self._image, self._kind = folder.with_suffix(".img"), kind
        self.path = folder
        folder.mkdir(parents=True)
        with self._image.open("wb") as image:
            image.truncate(size * MiB)
        _do(f"mkfs.{kind}", "-q", "-F", "-m", "0", str(self._image))
        self.mount()

    def mount(self) -> None:
        """What is on the disk is there."""
        _do("mount", "-o", "loop", "-t", self._kind, str(self._image), str(self.path))

    def unmount(self) -> None:
        """Nobody may be using it."""
        _do("umount", str(self.path))

    def cut_the_power(self) -> None:
        """What was not synced is gone. Whoever still uses the disk gets I/O errors, so end them, then `restart`."""
        root = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(root, _SHUTDOWN, _WITHOUT_LOG)
        finally:
            os.close(root)

    def restart(self) -> None:
        """The power is back: the file system replays what it had committed.

        On a copy. Somebody else's mount namespace may still hold the old one, and would have us get it again, dead as it is.
        """
        self.unmount()
        dead, self._image = self._image, self._image.with_suffix(".again.img")
        _do("cp", "--sparse=always", str(dead), str(self._image))
        self.mount()

    def allow(self, what: str) -> None:
        """``ro`` or ``rw``."""
        _do("mount", "-o", f"remount,{what}", str(self.path))

    def sync(self) -> None:
        """All that was written until now is on the disk."""
        _do("sync", "--file-system", str(self.path))

    def fill(self, leave: int = 0) -> Path:
        """Take all the room but so many bytes; the file that has it."""
        ballast = self.path / "ballast"
        facts = os.statvfs(self.path)
        with ballast.open("wb", buffering=0) as file:
            left = facts.f_bavail * facts.f_frsize - leave
            try:
                while left > 0:
                    left -= file.write(bytes(min(left, MiB)))
            except OSError:
                assert leave == 0
        return ballast


def _do(*command: str) -> None:
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
