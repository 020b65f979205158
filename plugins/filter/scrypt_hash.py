# Copyright (c) 2026, the bigfile.oci founders
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hashes a password on the controller, so that the assembler's host never sees it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: scrypt_hash
short_description: Hash a password with scrypt
version_added: 1.0.0
author:
  - the bigfile.oci founders (@bigfile)
description:
  - Makes the hash of a password that the service of the role P(bigfile.oci.oracle_assembler#role) checks logins against.
  - It runs on the controller and needs nothing but Python's standard library, so the password itself never reaches the host.
  - The same password and the same O(salt_seed) give the same hash, so that a second run of a playbook changes nothing.
notes:
  - >-
    Is a salt that can be computed sound? A salt must be unique, it need not be secret (RFC 7914, NIST SP 800-132): its task is that two
    users with one password have two hashes, and that no table computed beforehand serves an attacker. A seed of host and user name
    gives each user of each host a salt of its own, as a random one would. What protects a weak password is the cost of scrypt.
  - The salt is the first 16 bytes of the SHA-256 of the seed.
options:
  _input:
    description:
      - The password, not empty.
    type: str
    required: true
  salt_seed:
    description:
      - What the salt is derived from. It must name the user and the host, for instance C(inventory_hostname ~ ' ' ~ user), so that no two users share a salt.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Give the role a hash in place of a password
  ansible.builtin.include_role:
    name: bigfile.oci.oracle_assembler
  vars:
    oracle_assembler_users:
      - name: dba
        password_hash: "{{ vault_dba_password | bigfile.oci.scrypt_hash(salt_seed=inventory_hostname ~ ' dba') }}"
"""

RETURN = r"""
_value:
  description:
    - The hash as a PHC string, C($scrypt$ln=14,r=8,p=5$<salt>$<hash>), with a salt of 16 and a hash of 32 bytes in base64 without padding.
  type: str
"""

import base64
import hashlib
import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError

LOG2_N = 14
BLOCK_SIZE = 8
PARALLELISM = 5
SALT_SIZE = 16
HASH_SIZE = 32
MEMORY_LIMIT = 64 << 20
"""scrypt takes 128 * N * r bytes = 16 MiB here and a little; OpenSSL refuses more than 32 MiB unless it is told a limit."""


def unpadded_base64(data: bytes) -> str:
    """Standard base64 without ``=``, as PHC strings have it."""
    return base64.b64encode(data).rstrip(b"=").decode("ascii")


def text(value: t.Any, *, name: str) -> str:
    """``value`` if it is a text that is not empty. A number is refused: YAML may have changed it (0123 is 83) before we see it."""
    if value is None or isinstance(value, (bool, int, float, bytes, list, tuple, Mapping)):
        raise AnsibleFilterError(f"bigfile.oci.scrypt_hash: the {name} must be a text; put it in quotes if it looks like a number")
    plain = str(value)
    if not plain:
        raise AnsibleFilterError(f"bigfile.oci.scrypt_hash: the {name} is empty")
    return plain


def scrypt_hash(password: t.Any, salt_seed: t.Any = None) -> str:
    """The PHC string of ``password``, its salt derived from ``salt_seed``."""
    secret = text(password, name="password").encode("utf-8")
    salt = hashlib.sha256(text(salt_seed, name="salt_seed").encode("utf-8")).digest()[:SALT_SIZE]
    digest = hashlib.scrypt(secret, salt=salt, n=1 << LOG2_N, r=BLOCK_SIZE, p=PARALLELISM, maxmem=MEMORY_LIMIT, dklen=HASH_SIZE)
    return f"$scrypt$ln={LOG2_N},r={BLOCK_SIZE},p={PARALLELISM}${unpadded_base64(salt)}${unpadded_base64(digest)}"


class FilterModule:
    """The filters of this file, by name."""

    def filters(self) -> dict[str, t.Callable[..., str]]:
        return {"scrypt_hash": scrypt_hash}
