# Copyright (c) 2026, the bigfile.oci founders
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.bigfile.oci.plugins.filter.scrypt_hash import FilterModule, scrypt_hash

PHC = re.compile(r"^\$scrypt\$ln=14,r=8,p=5\$(?P<salt>[A-Za-z0-9+/]{22})\$(?P<hash>[A-Za-z0-9+/]{43})$")


def padded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))


def test_the_hash_is_a_phc_string_that_scrypt_confirms() -> None:
    match = PHC.match(scrypt_hash("correct horse", salt_seed="db1 dba"))
    assert match
    salt, digest = padded(match["salt"]), padded(match["hash"])
    assert salt == hashlib.sha256(b"db1 dba").digest()[:16]
    assert digest == hashlib.scrypt(b"correct horse", salt=salt, n=2**14, r=8, p=5, maxmem=64 << 20, dklen=32)


def test_the_hash_stays_what_it_was_in_earlier_releases() -> None:
    assert (
        scrypt_hash("correct horse", salt_seed="db1 dba")
        == "$scrypt$ln=14,r=8,p=5$s275sFjUp37VxJweuGKnfQ$RmkynpheZVr+9Hb792iCEjsk8PScEqzYE2lCJSNiD2k"
    )


def test_the_same_password_and_seed_give_the_same_hash() -> None:
    assert scrypt_hash("pw", salt_seed="s") == scrypt_hash("pw", salt_seed="s")


@pytest.mark.parametrize("password, seed", [("pw", "other"), ("other", "s")])
def test_another_password_or_seed_gives_another_hash(password: str, seed: str) -> None:
    assert scrypt_hash(password, salt_seed=seed) != scrypt_hash("pw", salt_seed="s")


def test_a_password_is_taken_as_utf8() -> None:
    match = PHC.match(scrypt_hash("pässwörd ☂", salt_seed="s"))
    assert match
    salt = padded(match["salt"])
    assert padded(match["hash"]) == hashlib.scrypt("pässwörd ☂".encode(), salt=salt, n=2**14, r=8, p=5, maxmem=64 << 20, dklen=32)


@pytest.mark.parametrize("password", [None, "", 83, 1.5, True, b"bytes", ["pw"], {"a": "pw"}])
def test_what_is_no_text_is_refused_as_a_password(password: object) -> None:
    with pytest.raises(AnsibleFilterError, match="the password"):
        scrypt_hash(password, salt_seed="s")


@pytest.mark.parametrize("seed", [None, ""])
def test_a_missing_seed_is_refused(seed: object) -> None:
    with pytest.raises(AnsibleFilterError, match="the salt_seed"):
        scrypt_hash("pw", salt_seed=seed)


def test_a_refusal_does_not_repeat_what_was_given() -> None:
    with pytest.raises(AnsibleFilterError) as refusal:
        scrypt_hash(8675309, salt_seed="s")
    assert "8675309" not in str(refusal.value)


def test_the_filter_is_offered_under_its_name() -> None:
    assert FilterModule().filters() == {"scrypt_hash": scrypt_hash}
