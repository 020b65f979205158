"""After everything: no password, token or key is in any log, journal, error or file of the service in the clear.

Last by its name. Looks through all that the tests of this run left below pytest's base folder; or of the run before, when
BIGFILE_LEFT_BEHIND and BIGFILE_SECRETS name its base folder and its secrets.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import typing as t
from pathlib import Path

import pytest

from .conftest import SECRETS, Client, MiB, Service, make_file, secret
from .test_source import interrupted

LARGEST = 64 * MiB


def forms(text: str) -> t.Iterator[bytes]:
    """A secret as it may be written: itself, base64, hexadecimal, raw bytes."""
    raw = text.encode()
    yield raw
    yield base64.b64encode(raw).rstrip(b"=")[:-1]
    yield raw.hex().encode()
    with contextlib.suppress(ValueError):
        decoded = base64.b64decode(text, validate=True)
        if len(decoded) == 32:
            yield decoded
    with contextlib.suppress(ValueError):
        decoded = bytes.fromhex(text)
        if len(decoded) == 32:
            yield decoded


def found_in(base: Path) -> list[str]:
    """Every file below that has a secret in it, with the secret's beginning."""
    needles = {form: text[:4] for text in SECRETS for form in forms(text)}
    hits: list[str] = []
    clean: set[bytes] = set()
    """Digests of what has none: libraries lie there many times over, and are looked through once."""
    for path in base.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= LARGEST:
            content = path.read_bytes()
            digest = hashlib.sha256(content).digest()
            if digest not in clean:
                found = [f"{path}: {shown}…" for needle, shown in needles.items() if needle in content]
                hits += found
                if not found:
                    clean.add(digest)
    return hits


@pytest.mark.parametrize("where", ["service.log", "journal.db", "transcript.txt"])
def test_the_search_finds_a_secret_that_is_there(tmp_path: Path, where: str) -> None:
    # By chance, as the search that follows may know it, too: a run of numbers is in libraries that the tests installed.
    planted = base64.b64encode(os.urandom(32)).decode()
    (tmp_path / where).write_bytes(b"..." + base64.b64decode(planted) + b"...")
    secret(planted)
    assert found_in(tmp_path)
    SECRETS.discard(planted)


def test_a_pending_upload_has_its_key_in_the_journal_and_a_finished_one_nowhere(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "key.bin", 60 * MiB)
    entry = interrupted(client, service, source)
    assert str(entry["key"]).encode() in client.journal.read_bytes(), "else the next line shows nothing"
    client.upload(source)
    assert found_in(client.folder) == []


def test_nothing_that_the_tests_left_has_a_secret_in_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    left_behind = Path(os.environ.get("BIGFILE_LEFT_BEHIND", tmp_path_factory.getbasetemp()))
    if "BIGFILE_SECRETS" in os.environ:
        SECRETS.update(Path(os.environ["BIGFILE_SECRETS"]).read_text(encoding="ascii").split())
    logs = list(left_behind.rglob("service.log"))
    print(f"\n{len(SECRETS)} secrets looked for in what {len(logs)} services and their clients left")
    assert len(SECRETS) >= 4 and logs, "run after the others"
    assert found_in(left_behind) == []
