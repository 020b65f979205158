# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Settings of this very process: descriptors, umask, and a malloc that gives back what it was lent."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import resource

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_MIB = 1 << 20


def settle() -> None:
    """Call it once, before the first thread."""
    os.umask(0o027)
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # each stalled client holds a connection
    _tame_malloc()


def leave() -> None:
    """End the process at once, with success.

    Taking the interpreter down while threads of the server, or one that hangs on a disk, are still about ends in an abort
    now and then (seen with Python 3.10). Nothing is left to do: what counts is on the disk.
    """
    logging.shutdown()
    os._exit(0)


def _tame_malloc() -> None:
    """Keep glibc from raising its mmap threshold.

    A login needs 16 MiB for scrypt. glibc takes the first such piece as a hint to keep the next ones in the arena of whatever
    thread asks: measured, 16 MiB more for good in each thread that ever checked a password.
    """
    with contextlib.suppress(AttributeError):  # not glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _MIB)
        mallopt(_M_TRIM_THRESHOLD, 8 * _MIB)


__all__ = ["leave", "settle"]
