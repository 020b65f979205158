"""What is sent: random files, the same ones to all contestants."""

from __future__ import annotations

import functools
import os
import shutil
import typing as t
from pathlib import Path

from ..integration.conftest import sha256_of

MIB = 1 << 20
KIB = 1 << 10


class Load(t.NamedTuple):
    """Files of one size in a folder that holds nothing else. ``size`` are the bytes of each."""

    name: str
    folder: Path
    files: int
    size: int

    @property
    def names(self) -> list[str]:
        """Names of the files."""
        return [f"{number:04}.bin" for number in range(self.files)]

    @property
    def sources(self) -> list[Path]:
        """The files."""
        return [self.folder / name for name in self.names]

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return self.files * self.size

    def make(self) -> Load:
        """Make what is not there yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.sources:
            if not path.exists() or path.stat().st_size != self.size:
                with path.open("wb") as file:
                    for start in range(0, self.size, MIB):
                        file.write(os.urandom(min(MIB, self.size - start)))
        return self

    def few(self, count: int) -> Load:
        """The first files alone, in a folder of their own."""
        if count >= self.files:
            return self
        fewer = self._replace(folder=self.folder.with_name(f"{self.folder.name}-{count}"), files=count)
        fewer.folder.mkdir(exist_ok=True)
        for path in fewer.sources:
            if not path.exists():
                shutil.copyfile(self.folder / path.name, path)
        return fewer

    def warm(self) -> None:
        """Read all of it, so that every contestant finds it in memory."""
        buffer = bytearray(MIB)
        for path in self.sources:
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass


@functools.cache
def source_digest(path: Path) -> str:
    """SHA-256 of a source; computed once, as sources do not change."""
    return sha256_of(path)


def of_size(size: int, room: Path) -> Load:
    """One file of ``size`` bytes."""
    return Load(size_name(size), room / f"one-{size}", 1, size)


def many(count: int, size: int, room: Path) -> Load:
    """``count`` files of ``size`` bytes."""
    return Load(f"{count:,} files of {size_name(size)}", room / f"many-{count}-{size}", count, size)


def size_name(size: int) -> str:
    """A size in the largest unit that is not broken by it."""
    for unit, name in ((1 << 30, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} bytes"


__all__ = ["KIB", "MIB", "Load", "many", "of_size", "size_name", "source_digest"]
