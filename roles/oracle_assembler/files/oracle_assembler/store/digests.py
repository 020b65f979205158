# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the service knows of the files that it published: their SHA-256, valid as long as nobody changed them."""

from __future__ import annotations

import hashlib
import json
import os

from .whole import open_folder, read_whole, unlink_if_there, write_whole


class Digests:
    """The index in ``<state>/digests``, one small file for each published file."""

    def __init__(self, state_dir: str) -> None:
        self._folder = os.path.join(state_dir, "digests")

    def note(self, user: str, path: str, facts: os.stat_result, sha256: str) -> None:
        """Remember the digest of a file that has just been published."""
        data = json.dumps({"identity": _identity(facts), "sha256": sha256}).encode()
        with open_folder(self._folder) as folder:
            write_whole(folder, _name(user, path), data, durable=False)  # lost in a power cut: the digest is merely not known

    def known(self, user: str, path: str, facts: os.stat_result) -> str | None:
        """The digest of a file, None when it is not known or the file is no longer the one that was published."""
        try:
            with open_folder(self._folder) as folder:
                noted = json.loads(read_whole(folder, _name(user, path)))
        except (FileNotFoundError, ValueError):
            return None
        return str(noted["sha256"]) if noted["identity"] == _identity(facts) else None

    def forget(self, user: str, path: str) -> None:
        """The file is gone."""
        with open_folder(self._folder) as folder:
            unlink_if_there(folder, _name(user, path))


def _name(user: str, path: str) -> str:
    return hashlib.sha256(f"{user}\0{path}".encode()).hexdigest() + ".json"


def _identity(facts: os.stat_result) -> list[int]:
    return [facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns]


__all__ = ["Digests"]
