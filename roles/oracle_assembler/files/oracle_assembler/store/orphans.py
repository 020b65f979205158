# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Files of the service's own that no record knows: what a power cut may leave behind."""

from __future__ import annotations

import os
import stat
import typing as t

from .paths import own_id
from .tree import Tree, remove_folder


def remove_orphans(tree: Tree, known: t.Container[str], before: float) -> int:
    """Remove them from a user's tree when they were last changed before that time; returns how many there were."""
    with tree.open() as root:
        return sum(
            _remove(folder, name, before)
            for _path, folders, files, folder in os.fwalk(b".", follow_symlinks=False, dir_fd=root)
            for name in folders + files
            if _is_orphan(name, known)
        )


def _is_orphan(name: bytes, known: t.Container[str]) -> bool:
    upload_id = own_id(os.fsdecode(name))
    return upload_id is not None and upload_id not in known


def _remove(folder: int, name: bytes, before: float) -> bool:
    facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if facts.st_mtime >= before:
        return False
    if stat.S_ISDIR(facts.st_mode):
        remove_folder(folder, os.fsdecode(name), recursive=True)
    else:
        os.unlink(name, dir_fd=folder)
    return True


__all__ = ["remove_orphans"]
