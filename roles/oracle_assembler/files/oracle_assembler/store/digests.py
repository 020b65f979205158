# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the service knows of the files that it published: their SHA-256, valid as long as nobody changed them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading

from ..problems import Problem
from .tree import Identity, file_facts, identity_of
from .whole import open_folder, read_whole, unlink_if_there, write_whole
from .workspace import Workspace

_log = logging.getLogger(__name__)


class Digests:
    """The index in ``<state>/digests``, one small file for each published file."""

    def __init__(self, state_dir: str) -> None:
        self._folder = os.path.join(state_dir, "digests")
        self._lock = threading.Lock()

    def note(self, workspace: Workspace, published: Identity, sha256: str) -> None:
        """Remember the digest of a file that was published, unless another has taken its place meanwhile.

        The file is there whether or not this succeeds: without it the digest is merely not known, as after a power cut.
        """
        record = workspace.record
        data = json.dumps({"identity": published, "sha256": sha256}).encode()
        try:
            with self._lock, workspace.parent() as parent, open_folder(self._folder) as folder:
                if identity_of(file_facts(parent, record.name)) == published:
                    write_whole(folder, _name(record.user, record.path), data, durable=False)
        except Problem:
            pass  # it is gone already
        except OSError:
            _log.warning("the digest of a file could not be kept", exc_info=True, extra={"upload_id": record.id})

    def known(self, user: str, path: str, facts: os.stat_result) -> str | None:
        """The digest of a file, None when it is not known or the file is no longer the one that was published."""
        try:
            with open_folder(self._folder) as folder:
                noted = json.loads(read_whole(folder, _name(user, path)))
        except (FileNotFoundError, ValueError):
            return None
        return str(noted["sha256"]) if noted["identity"] == identity_of(facts) else None

    def forget(self, user: str, path: str) -> None:
        """The file is gone."""
        with self._lock, open_folder(self._folder) as folder:
            unlink_if_there(folder, _name(user, path))


def _name(user: str, path: str) -> str:
    return hashlib.sha256(f"{user}\0{path}".encode()).hexdigest() + ".json"


__all__ = ["Digests"]
