"""The processes behind the limits: bytes through loopback into a file, and nothing but encryption or hashing.

    work.py receive PORT              takes files from connections, one at a time, and syncs each
    work.py send PORT                 sends the files that stdin names, a line each: source, tab, target
    work.py WORK LIBRARY BYTES PROCESSES     one of WORKS; prints its seconds and CPU seconds in JSON

Meant to be as bare as Python allows; what these cost, no tool can save.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import socket
import sys
import time
import typing as t

SEGMENT = 1 << 20
"""Bytes of one step."""
TAG = 16


def receive(port: int) -> None:
    """Write what comes to where its first line says, and answer once it is on the disk."""
    buffer = memoryview(bytearray(SEGMENT))
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            connection, _peer = listener.accept()
            with connection, connection.makefile("rb", buffering=0) as stream:
                while header := stream.readline():
                    _take(connection, json.loads(header), buffer)
                    connection.sendall(b"\n")


def _take(connection: socket.socket, header: dict[str, t.Any], buffer: memoryview) -> None:
    left = header["size"]
    with open(header["target"], "wb", buffering=0) as file:
        while left:
            count = connection.recv_into(buffer, min(left, SEGMENT))
            if not count:
                raise ConnectionError("the sender is gone")
            file.write(buffer[:count])
            left -= count
        os.fsync(file.fileno())


def send(port: int) -> None:
    """Send files, one after the other. The source passes through memory, as it has to when it is encrypted there."""
    buffer = memoryview(bytearray(SEGMENT))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for line in sys.stdin:
            source, target = line.rstrip("\n").split("\t")
            with open(source, "rb", buffering=0) as file:
                header = {"target": target, "size": os.fstat(file.fileno()).st_size}
                connection.sendall(json.dumps(header).encode() + b"\n")
                while count := file.readinto(buffer):
                    connection.sendall(buffer[:count])
            if not connection.recv(1):
                raise ConnectionError("the receiver is gone")


Step = t.Callable[[int], object]
"""Does one segment, by its number."""


def _seal_pycryptodome() -> Step:
    from Crypto.Cipher import AES

    key, plain, sealed = os.urandom(32), os.urandom(SEGMENT), bytearray(SEGMENT)

    def step(number: int) -> bytes:
        cipher = AES.new(key, AES.MODE_GCM, nonce=number.to_bytes(12, "big"))
        cipher.encrypt(plain, output=sealed)
        return cipher.digest()

    return step


def _seal_cryptography() -> Step:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    cipher, plain, sealed = AESGCM(os.urandom(32)), os.urandom(SEGMENT), bytearray(SEGMENT + TAG)
    return lambda number: cipher.encrypt_into(number.to_bytes(12, "big"), plain, None, sealed)


def _seal_and_open_ours() -> Step:
    from ansible_collections.bigfile.oci.plugins.module_utils._sealed.cipher import SealedStream, new_header

    stream = SealedStream(os.urandom(32), new_header(), b"bench")
    plain, room = os.urandom(SEGMENT), bytearray(SEGMENT + 4096)

    def step(number: int) -> None:
        stream.open_in_place(number, stream.seal(number, plain, last=False, into=room), last=False)

    return step


def _sha256_hashlib() -> Step:
    digest, block = hashlib.sha256(), os.urandom(SEGMENT)
    return lambda _number: digest.update(block)


def _sha256_pycryptodome() -> Step:
    from Crypto.Hash import SHA256

    digest, block = SHA256.new(), os.urandom(SEGMENT)
    return lambda _number: digest.update(block)


def _sha256_cryptography() -> Step:
    from cryptography.hazmat.primitives.hashes import SHA256, Hash

    digest, block = Hash(SHA256()), os.urandom(SEGMENT)
    return lambda _number: digest.update(block)


WORKS: dict[tuple[str, str], t.Callable[[], Step]] = {
    ("seal and open", "ours"): _seal_and_open_ours,
    ("seal", "pycryptodome"): _seal_pycryptodome,
    ("seal", "cryptography"): _seal_cryptography,
    ("sha256", "hashlib"): _sha256_hashlib,
    ("sha256", "pycryptodome"): _sha256_pycryptodome,
    ("sha256", "cryptography"): _sha256_cryptography,
}
"""What is done a MiB at a time: by each library, and by our own format with the library that it takes here. ``cryptography`` is OpenSSL."""


def _labour(work: str, library: str, segments: int) -> tuple[float, float]:
    """Seconds and CPU seconds that so many segments take."""
    step = WORKS[work, library]()
    step(0)
    begun, cpu = time.perf_counter(), time.process_time()
    for number in range(1, segments + 1):
        step(number)
    return time.perf_counter() - begun, time.process_time() - cpu


def labour(work: str, library: str, size: int, processes: int) -> dict[str, float]:
    """``size`` bytes shared by so many processes: the seconds of the slowest, the CPU seconds of all."""
    segments = size // SEGMENT // processes
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        done = pool.starmap(_labour, [(work, library, segments)] * processes, chunksize=1)
    return {"seconds": max(seconds for seconds, _cpu in done), "cpu": sum(cpu for _seconds, cpu in done)}


def main(words: list[str]) -> None:
    """Do what the command line says."""
    if words[0] == "receive":
        receive(int(words[1]))
    elif words[0] == "send":
        send(int(words[1]))
    else:
        print(json.dumps(labour(words[0], words[1], int(words[2]), int(words[3]))))


if __name__ == "__main__":
    main(sys.argv[1:])
