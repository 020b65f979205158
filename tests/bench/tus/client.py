"""tuspy: client.py URL FILE..., each file under its own name."""

from __future__ import annotations

import sys
from pathlib import Path

from tusclient.client import TusClient

CHUNK = 16 << 20
"""Bytes of a request, as many as a part of ours has. As it comes, tuspy holds the whole file in memory and sends it at once."""


def main(url: str, *paths: str) -> None:
    """Send all files, one after the other."""
    client = TusClient(url)
    for path in paths:
        client.uploader(path, chunk_size=CHUNK, metadata={"filename": Path(path).name}).upload()


if __name__ == "__main__":
    main(*sys.argv[1:])
