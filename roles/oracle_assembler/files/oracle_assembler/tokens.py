# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Passwords and tokens: who may be whom.

A password is kept as a PHC string with scrypt (RFC 7914); a token is a signed JWT (RFC 7519) that names a user and
a fingerprint of that user's password hash, so that a changed password or a removed user ends it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
import typing as t

import jwt

from .problems import Problem

_ALGORITHM = "HS256"
_LN_MAX, _R_MAX, _P_MAX = 20, 16, 16
_MEMORY_MAX = 256 << 20
_CHECKED_MOST = 1000


class Phc(t.NamedTuple):
    """A parsed password hash."""

    ln: int
    r: int
    p: int
    salt: bytes
    hash: bytes

    @property
    def memory(self) -> int:
        """Bytes that scrypt needs."""
        return 128 * self.r * ((1 << self.ln) + self.p + 2)

    def derive(self, password: str) -> bytes:
        """What the hash must be."""
        return hashlib.scrypt(
            password.encode("utf-8", "surrogatepass"), salt=self.salt, n=1 << self.ln, r=self.r, p=self.p,
            maxmem=self.memory + (1 << 20), dklen=len(self.hash),
        )  # fmt: skip


def parse_phc(text: str) -> Phc:
    """Parse ``$scrypt$ln=14,r=8,p=5$<salt>$<hash>``, base64 without padding.

    :raises ValueError: when it is none, or asks for more work than a login may cost.
    """
    empty, name, numbers, salt, digest = text.split("$")
    ln, r, p = (int(item.split("=", 1)[1]) for item in numbers.split(","))
    phc = Phc(ln, r, p, _unpadded(salt), _unpadded(digest))
    sane = 1 <= ln <= _LN_MAX and 1 <= r <= _R_MAX and 1 <= p <= _P_MAX and phc.memory <= _MEMORY_MAX
    if empty or name != "scrypt" or not sane or len(phc.hash) < 16:
        raise ValueError("not a scrypt hash within sane limits")
    return phc


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def hash_password(password: str, *, ln: int = 14, r: int = 8, p: int = 5) -> str:
    """A new password hash."""
    empty = Phc(ln, r, p, secrets.token_bytes(16), bytes(32))
    salt, digest = (base64.b64encode(part).decode().rstrip("=") for part in (empty.salt, empty.derive(password)))
    return f"$scrypt$ln={ln},r={r},p={p}${salt}${digest}"


class Passwords:
    """Checks passwords; an unknown user costs the same work as a known one."""

    def __init__(self, hashes: t.Mapping[str, str]) -> None:
        self._known = {user: parse_phc(text) for user, text in hashes.items()}
        costliest = max(self._known.values(), key=lambda phc: (phc.ln, phc.r * phc.p), default=Phc(14, 8, 5, b"", bytes(32)))
        self._nobody = costliest._replace(salt=secrets.token_bytes(16), hash=secrets.token_bytes(32))
        self._secret = secrets.token_bytes(32)
        self._proved: dict[str, bytes] = {}

    def check(self, user: str, password: str) -> bool:
        """Whether the password is the user's. Slow, and needs some MiB of memory, by design.

        The one that was right before is known again at once, by its HMAC under a secret of this process: a task in a loop logs in
        for each of its files.
        """
        proof = hmac.digest(self._secret, password.encode(), "sha256")
        if hmac.compare_digest(proof, self._proved.get(user, b"")):
            return True
        phc = self._known.get(user, self._nobody)
        right = hmac.compare_digest(phc.derive(password), phc.hash) and user in self._known
        if right:
            self._proved[user] = proof
        return right


class Tokens:
    """Issues and checks tokens."""

    def __init__(self, key: bytes, hashes: t.Mapping[str, str], lifetime: int) -> None:
        self._key = key
        encoded = base64.urlsafe_b64encode(key).decode().rstrip("=")
        self._checking_key = jwt.PyJWK({"kty": "oct", "k": encoded}, _ALGORITHM)  # raw bytes would be examined anew at each request
        self._fingerprints = {user: hashlib.sha256(text.encode()).hexdigest()[:32] for user, text in hashes.items()}
        self._checked: dict[str, tuple[str, float]] = {}
        self.lifetime = lifetime

    def issue(self, user: str, now: float | None = None) -> str:
        """A token for a user."""
        begin = int(time.time() if now is None else now)
        claims = {"sub": user, "iat": begin, "exp": begin + self.lifetime, "jti": secrets.token_hex(8), "fpr": self._fingerprints[user]}
        return jwt.encode(claims, self._key, _ALGORITHM)

    def user(self, token: str) -> str:
        """Whose token it is. One that was checked before is known until it expires: many small files come with the same.

        :raises Problem: ``token-expired``: ask for a new one; ``token-invalid``.
        """
        user, end = self._checked.get(token, ("", 0.0))
        if time.time() < end:
            return user
        user, end = self._check(token)
        if len(self._checked) >= _CHECKED_MOST:
            self._checked.clear()
        self._checked[token] = user, end
        return user

    def _check(self, token: str) -> tuple[str, float]:
        try:
            claims = jwt.decode(token, self._checking_key, [_ALGORITHM], options={"require": ["sub", "exp", "fpr"], "verify_iat": False})
        except jwt.ExpiredSignatureError as error:
            raise Problem("token-expired", "the token has expired: ask for a new one") from error
        except jwt.InvalidTokenError as error:
            raise Problem("token-invalid", "the token was not issued by this service") from error
        user = str(claims["sub"])
        if not hmac.compare_digest(self._fingerprints.get(user, ""), str(claims["fpr"])):
            raise Problem("token-invalid", "the password was changed or the user is gone: log in again")
        return user, float(claims["exp"])


__all__ = ["Passwords", "Tokens", "hash_password", "parse_phc"]
