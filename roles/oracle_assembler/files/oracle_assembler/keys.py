# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The service's own secrets and folders: made once, read at the start.

The two key files are the only secrets on disk, each in a file of mode 0600 in a folder of mode 0700.
"""

from __future__ import annotations

import os
import secrets
import typing as t

from ._sealed.cipher import new_private_key, public_key_of
from .store.whole import read_whole, write_whole

_HPKE = "hpke.key"
_TOKEN = "token.key"
_FOLDERS = ("", "uploads", "digests")


class Keys(t.NamedTuple):
    """``hpke`` opens wrapped keys, ``token`` signs tokens."""

    hpke: bytes
    public: bytes
    token: bytes

    def __repr__(self) -> str:
        return "Keys(...)"


def prepare_state(state_dir: str) -> bool:
    """Make the folders and keys that are missing; says whether any was."""
    changed = False
    for name in _FOLDERS:
        changed |= _make_folder(os.path.join(state_dir, name))
    descriptor = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        changed |= _make_key(descriptor, _HPKE, new_private_key)
        changed |= _make_key(descriptor, _TOKEN, lambda: secrets.token_bytes(32))
    finally:
        os.close(descriptor)
    return changed


def _make_folder(path: str) -> bool:
    if os.path.isdir(path):
        return False
    os.makedirs(path, mode=0o700)
    return True


def _make_key(folder: int, name: str, make: t.Callable[[], bytes]) -> bool:
    try:
        os.stat(name, dir_fd=folder)
    except FileNotFoundError:
        write_whole(folder, name, make().hex().encode())
        return True
    return False


def load_keys(state_dir: str) -> Keys:
    """Read both keys.

    :raises ValueError: when a file does not hold 32 bytes in hexadecimal digits; the text does not repeat them.
    """
    descriptor = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        hpke, token = (_load(descriptor, name) for name in (_HPKE, _TOKEN))
    finally:
        os.close(descriptor)
    return Keys(hpke, public_key_of(hpke), token)


def _load(folder: int, name: str) -> bytes:
    try:
        key = bytes.fromhex(read_whole(folder, name).decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValueError(f"{name} does not hold 32 bytes in hexadecimal digits")
    return key


__all__ = ["Keys", "load_keys", "prepare_state"]
