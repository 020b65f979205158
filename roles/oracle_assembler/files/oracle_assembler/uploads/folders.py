# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Folders: create, list, delete."""

from __future__ import annotations

from ..problems import Problem
from ..store.paths import Components, parse
from ..store.tree import Entry, listing, remove_folder
from .assembler import Assembler


async def create(assembler: Assembler, user: str, path: str) -> bool:
    """Make a folder and its parents; says whether it is new.

    :raises Problem: ``not-a-folder``.
    """
    return await assembler.threads.run(_create, assembler, user, parse(path))


def _create(assembler: Assembler, user: str, components: Components) -> bool:
    tree = assembler.tree(user)
    try:
        with tree.open(components):
            return False
    except Problem as problem:
        if problem.name != "not-found":
            raise
    with tree.open(components, create=True):
        return True


async def entries(assembler: Assembler, user: str, path: str) -> list[Entry]:
    """What is in a folder, by name; an empty path is the root.

    :raises Problem: ``not-found``, ``not-a-folder``.
    """
    return await assembler.threads.run(_entries, assembler, user, parse(path) if path else ())


def _entries(assembler: Assembler, user: str, components: Components) -> list[Entry]:
    with assembler.tree(user).open(components) as folder:
        return listing(folder)


async def delete(assembler: Assembler, user: str, path: str, *, recursive: bool) -> None:
    """Delete a folder.

    :raises Problem: ``not-found``, ``not-a-folder``, ``folder-not-empty``, ``folder-in-use``.
    """
    if not path:
        raise Problem("path-refused", "the root folder itself cannot be deleted")
    components = parse(path)
    async with assembler.begin_lock:  # no upload may begin in it meanwhile
        if assembler.pending_below(user, components):
            raise Problem("folder-in-use", f"an upload into {path!r} is pending: abort it, or let it end")
        await assembler.threads.run(_delete, assembler, user, components, recursive)
    assembler.quotas.deleted(user)


def _delete(assembler: Assembler, user: str, components: Components, recursive: bool) -> None:
    with assembler.tree(user).open(components[:-1]) as parent:
        remove_folder(parent, components[-1], recursive=recursive)


__all__ = ["create", "delete", "entries"]
