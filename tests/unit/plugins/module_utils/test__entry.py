# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import base64
import typing as t

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils import _entry
from ansible_collections.bigfile.oci.plugins.module_utils._entry import Entry
from ansible_collections.bigfile.oci.plugins.module_utils._plan import Plan
from ansible_collections.bigfile.oci.plugins.module_utils._sealed.cipher import (
    PlainStream,
    SealedStream,
    derive_upload_key,
    new_private_key,
    public_key_of,
    unwrap_key,
)

MiB = 1 << 20
ID = "00112233445566778899aabbccddeeff"
IDENTITY = [1, 2, 3, 4, 5]
OWN_KEY = bytes(range(32))
OTHER_KEY = bytes(32)
PRIVATE = new_private_key()


def begun(*, encrypt: bool = True, encryption_key: bytes | None = None, release_key: str = "with_parts") -> Entry:
    return _entry.new(
        ID,
        Plan(17 * MiB, 5 * MiB, encrypt),
        names=("/u01/exp.dmp", "https://host.example", "dumps/exp.dmp"),
        identity=IDENTITY,
        release_key=release_key,
        encryption_key=encryption_key,
        random=lambda count: b"r" * count,
    )


# Keys


def test_a_random_key_is_drawn_and_kept() -> None:
    entry = begun()
    assert entry.upload_key(None) == b"r" * 32
    assert entry.key == base64.b64encode(b"r" * 32).decode()


def test_a_user_s_key_is_derived_for_each_upload_and_not_kept() -> None:
    entry = begun(encryption_key=OWN_KEY)
    assert entry.key is None
    assert entry.header is not None
    assert entry.upload_key(OWN_KEY) == derive_upload_key(OWN_KEY, base64.b64decode(entry.header))


def test_each_upload_has_a_header_of_its_own() -> None:
    assert begun().header != begun().header


def test_a_plain_upload_has_no_key_and_no_header() -> None:
    entry = begun(encrypt=False, encryption_key=OWN_KEY)
    assert (entry.key, entry.header, entry.key_check, entry.upload_key(OWN_KEY)) == (None, None, None, None)


def test_the_key_check_tells_keys_apart_and_is_no_key() -> None:
    assert _entry.key_check(OWN_KEY) != _entry.key_check(OTHER_KEY)
    assert OWN_KEY.hex() not in _entry.key_check(OWN_KEY)
    assert len(_entry.key_check(OWN_KEY)) == 32


@pytest.mark.parametrize("encryption_key", [None, OWN_KEY])
def test_an_entry_survives_the_journal(encryption_key: bytes | None) -> None:
    entry = begun(encryption_key=encryption_key)
    assert _entry.read(entry._asdict()) == entry


@pytest.mark.parametrize("members", [None, {}, {"id": ID}, {**begun()._asdict(), "since": "2.0"}])
def test_what_is_no_entry_reads_as_none(members: dict[str, t.Any] | None) -> None:
    assert _entry.read(members) is None


def test_an_entry_knows_its_plan() -> None:
    assert begun().plan == Plan(17 * MiB, 5 * MiB, True)
    assert begun().parts == 4


def test_an_entry_does_not_show_its_key() -> None:
    entry = begun()
    assert str(entry.key) not in f"{entry} {entry!r} {[entry]}"


# Going on

SERVES: list[tuple[str, dict[str, t.Any], dict[str, t.Any], bool]] = [
    ("a random key", {}, {}, True),
    ("no seal", {"encrypt": False}, {"encrypt": False}, True),
    ("the same own key", {"encryption_key": OWN_KEY}, {"encryption_key": OWN_KEY}, True),
    ("no seal, own key given", {"encrypt": False}, {"encrypt": False, "encryption_key": OWN_KEY}, True),
    ("another own key", {"encryption_key": OWN_KEY}, {"encryption_key": OTHER_KEY}, False),
    ("own key not given", {"encryption_key": OWN_KEY}, {}, False),
    ("own key now, random before", {}, {"encryption_key": OWN_KEY}, False),
    ("plain now", {}, {"encrypt": False}, False),
    ("sealed now", {"encrypt": False}, {}, False),
    ("another identity", {}, {"identity": [1, 2, 3, 4, 6]}, False),
]


@pytest.mark.parametrize(("before", "now", "serves"), [row[1:] for row in SERVES], ids=[row[0] for row in SERVES])
def test_an_upload_goes_on_only_if_the_same_bytes_are_sealed_in_the_same_way(
    before: dict[str, t.Any], now: dict[str, t.Any], serves: bool
) -> None:
    wish = {"identity": IDENTITY, "encrypt": True, "encryption_key": None, **now}
    assert begun(**before).serves(wish.pop("identity"), **wish) is serves


def test_an_identity_is_the_same_as_tuple_and_as_list() -> None:
    assert begun().serves(tuple(IDENTITY), encrypt=True, encryption_key=None)


def test_an_entry_whose_random_key_was_lost_serves_nobody() -> None:
    assert not begun()._replace(key=None).serves(IDENTITY, encrypt=True, encryption_key=None)


def test_an_entry_without_a_key_check_is_trusted_with_the_user_s_key() -> None:
    """It was adopted from the service, which knows no check."""
    entry = begun(encryption_key=OWN_KEY)._replace(key_check=None)
    assert entry.serves(IDENTITY, encrypt=True, encryption_key=OWN_KEY)


# To send


@pytest.mark.parametrize("encryption_key", [None, OWN_KEY])
def test_the_key_is_wrapped_for_this_upload(encryption_key: bytes | None) -> None:
    entry = begun(encryption_key=encryption_key)
    session = _entry.session(entry, encryption_key=encryption_key, public_key=public_key_of(PRIVATE))
    assert session.wrapped_key is not None
    assert unwrap_key(base64.b64decode(session.wrapped_key), PRIVATE, ID) == entry.upload_key(encryption_key)


def test_the_stream_is_bound_to_its_destination() -> None:
    entry = begun()
    session = _entry.session(entry, encryption_key=None, public_key=public_key_of(PRIVATE))
    sealed = session.stream.seal(0, b"bigfile", last=True)
    header = base64.b64decode(str(entry.header))
    assert SealedStream(b"r" * 32, header, b"dumps/exp.dmp").open(0, sealed, last=True) == b"bigfile"


@pytest.mark.parametrize(("release_key", "with_part"), [("with_parts", True), ("at_stitch", False)])
def test_a_part_carries_the_key_only_when_it_is_released_with_parts(release_key: str, with_part: bool) -> None:
    session = _entry.session(begun(release_key=release_key), encryption_key=None, public_key=public_key_of(PRIVATE))
    assert (session.part_key is not None) is with_part
    assert session.wrapped_key is not None


def test_a_plain_upload_sends_no_key_at_all() -> None:
    session = _entry.session(begun(encrypt=False), encryption_key=OWN_KEY, public_key=public_key_of(PRIVATE))
    assert (session.wrapped_key, session.part_key, type(session.stream)) == (None, None, PlainStream)


def test_the_name_is_the_last_component_of_the_destination() -> None:
    assert _entry.session(begun(), encryption_key=None, public_key=public_key_of(PRIVATE)).name == "exp.dmp"


@pytest.mark.parametrize(
    ("encrypt", "mode", "overwrite", "expected"),
    [
        (True, None, True, {"Upload-Sealing": "AES256_GCM_HKDF_1MB"}),
        (False, "0640", False, {"Upload-Sealing": "none", "Upload-Mode": "0640", "If-None-Match": "*"}),
    ],
)
def test_a_whole_file_is_announced_by_headers(encrypt: bool, mode: str | None, overwrite: bool, expected: dict[str, str]) -> None:
    session = _entry.session(begun(encrypt=encrypt), encryption_key=None, public_key=public_key_of(PRIVATE))
    headers = session.file_headers("00" * 32, mode, overwrite=overwrite)
    assert (headers.pop("Upload-Key", None) is not None) is encrypt
    assert headers == {
        "Content-Type": "application/octet-stream",
        "Repr-Digest": f"sha-256=:{'A' * 43}=:",
        "Upload-Id": ID,
        "Upload-Size": str(17 * MiB),
        **expected,
    }


@pytest.mark.parametrize("encrypt", [True, False])
def test_an_upload_is_opened_with_all_that_is_fixed_and_nothing_secret(encrypt: bool) -> None:
    entry = begun(encrypt=encrypt)
    assert _entry.opening(entry, "a" * 64) == {
        "id": ID,
        "path": "dumps/exp.dmp",
        "size": 17 * MiB,
        "part_size": 5 * MiB,
        "parts": 4,
        "sealing": {"scheme": "AES256_GCM_HKDF_1MB", "header": entry.header} if encrypt else None,
        "release_key": "with_parts",
        "source": "a" * 64,
    }
