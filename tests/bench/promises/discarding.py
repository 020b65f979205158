"""The service on a disk that forgets zeros: a file of zeros of any size can be uploaded, stitched and checked, and takes no room.

Run as ``python -m bench.promises.discarding --config FILE serve`` in place of ``oracle_assembler``. What it changes is
what the service sees of the disk, and nothing else: a write of nothing but zeros leaves a hole, which reads as zeros; room for
a file is promised and not taken; and there is always more. All else is written, sealed parts too, whose bytes are not zeros.
"""

from __future__ import annotations

import ctypes
import os
import sys
import typing as t

BLOCK = 1 << 16
ZEROS = bytes(BLOCK)
ROOM = 1 << 50
"""Bytes that are free on this disk."""

PUNCH_HOLE = 0x02 | 0x01
"""FALLOC_FL_PUNCH_HOLE and FALLOC_FL_KEEP_SIZE of fallocate(2)."""
LIBC = ctypes.CDLL(None, use_errno=True)

write = os.pwrite


def is_zeros(data: memoryview) -> bool:
    """Whether there is no other byte; looked at in blocks, as a copy of it all would be memory that the service never had."""
    return all(bytes(data[at : at + BLOCK]) == ZEROS[: len(data) - at] for at in range(0, len(data), BLOCK))


def write_unless_zeros(descriptor: int, data: t.Any, offset: int) -> int:
    """pwrite(2), but zeros become a hole, which gives back the room of what they replace: the ciphertext of a part that waited for its key."""
    view = memoryview(data)
    if not is_zeros(view):
        return write(descriptor, view, offset)
    if view and LIBC.fallocate(descriptor, PUNCH_HOLE, ctypes.c_long(offset), ctypes.c_long(len(view))) != 0:
        raise OSError(ctypes.get_errno(), "fallocate cannot make a hole here")
    return len(view)


def promise(descriptor: int, size: int) -> bool:
    """The size without the blocks; says that they are there."""
    os.ftruncate(descriptor, size)
    return True


def free_bytes(path: str | int) -> int:
    """More than is there."""
    return ROOM


def main() -> int:
    """Run the service's command line."""
    from oracle_assembler.store import space  # before the rest of the service takes from it what it needs

    os.pwrite = write_unless_zeros
    space.reserve = promise
    space.free_bytes = free_bytes
    from oracle_assembler.__main__ import main as command

    return command(sys.argv[1:])


if __name__ == "__main__":
    raise SystemExit(main())
