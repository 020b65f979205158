# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One request to the service and what its answer means. The one file that touches requests.

Private to the collection bigfile.oci. Passwords, tokens and keys appear in no error.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import os
import re
import ssl
import threading
import time
import traceback
import typing as t

from ._connection import Connection
from ._errors import OptionError, Refused, Unreachable, Untrusted

REQUESTS_IMPORT_ERROR: str | None
try:
    import requests
except ImportError:
    REQUESTS_IMPORT_ERROR = traceback.format_exc()
else:
    REQUESTS_IMPORT_ERROR = None

TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers worth another try when they say nothing themselves (RFC 9110 and RFC 6585)."""

USER_AGENT = "bigfile.oci"

Json = dict[str, t.Any]


class Body(t.Protocol):
    """What a request carries, see :class:`PartBody`."""

    def __len__(self) -> int:
        """Bytes in all."""

    def __iter__(self) -> t.Iterator[t.Any]:
        """The bytes."""


class Answer(t.NamedTuple):
    """An answer that is a success."""

    status: int
    headers: t.Mapping[str, str]
    content: bytes
    request: str
    """Method and URL, for errors."""

    def json(self) -> Json:
        """The JSON object in it.

        :raises Refused: when there is none.
        """
        found = _json_object(self.content)
        if found is None:
            raise Refused(
                f"the answer to {self.request} is not JSON; something else than the service answers there",
                status=self.status,
            )
        return found

    def member(self, name: str) -> t.Any:
        """One member of the JSON object.

        :raises Refused: when it is not there.
        """
        found = self.json()
        if name not in found:
            raise Refused(
                f"the answer to {self.request} has no {name}; something else than the service may answer there", status=self.status
            )
        return found[name]


class Http:
    """Sends requests over connections of its own for each thread.

    :raises Untrusted: when the way is open to all and the user neither pinned a key nor insists.
    """

    def __init__(self, connection: Connection) -> None:
        self.base = connection.base
        if not (connection.private or connection.public_key or not connection.validate_certs):
            raise Untrusted(
                f"{self.base} is plain http to another host, where anybody on the way can read and answer; use https, or pin the "
                "service's key with assembler_public_key, or insist with validate_certs: false"
            )
        _check_files(connection)
        self.reached = False
        """Whether the service has answered once; before that, little patience is due."""
        self._connection = connection
        self._local = threading.local()

    def send(
        self,
        method: str,
        route: str,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        members: Json | None = None,
        body: t.Callable[[], Body] | None = None,
    ) -> Answer:
        """Send one request, once.

        :param members: a JSON object for the body
        :param body: called for what to stream as the body
        :raises Refused: for an answer that is no success
        """
        if token is not None and not re.fullmatch("[!-~]+", token):
            raise OptionError("the token has a line end, a space or another character that a token has not; give it without")
        payload = None if body is None else body()
        try:
            answer = self._session().request(
                method,
                self.base + route,
                headers=headers,
                json=members,
                data=b"" if payload is not None and not len(payload) else payload,  # requests would chunk an empty iterable
                timeout=self._connection.timeout,
                allow_redirects=False,
                auth=lambda prepared: _bear(prepared, token),
            )
        except requests.exceptions.RequestException as error:
            raise self._translated(error) from error
        self.reached = True
        if answer.status_code >= 300:
            raise _refusal(answer, self.base)
        return Answer(
            answer.status_code,
            answer.headers,
            answer.content,
            f"{method} {self.base}{route}",
        )

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.headers["User-Agent"] = USER_AGENT
            session.headers["Accept-Encoding"] = "identity"
            verify = (self._connection.ca_path or True) if self._connection.validate_certs else False
            # Proxies and authorities of the environment: once, as looking for them takes a fifth of a small request's time. Nothing else
            # in it counts, a user and password in ~/.netrc least of all.
            settings = session.merge_environment_settings(self.base, {}, None, verify, None)
            session.proxies, session.verify = settings["proxies"], settings["verify"]
            session.trust_env = False
            if self._connection.client_cert:
                pair = (self._connection.client_cert, self._connection.client_key)
                session.cert = t.cast(tuple[str, str], pair) if pair[1] else pair[0]
            self._local.session = session
        return session

    def _translated(self, error: requests.exceptions.RequestException) -> Exception:
        """Our error for one of requests'."""
        text = str(error)
        if "CERTIFICATE_VERIFY_FAILED" in text:
            return Untrusted(
                f"the certificate of {self.base} is not trusted: {_ssl_reason(text)}; give the certificate authority with ca_path, "
                "or look whether this is the host you mean"
            )
        if isinstance(error, requests.exceptions.Timeout):
            return Unreachable(
                f"{self.base} stood still for {self._connection.timeout:g} seconds; give a longer timeout if it needs that, or look what it is busy with"
            )
        if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader)):
            return OptionError(f"the endpoint {self.base} cannot be used: {text}; give a URL such as https://host.example:8443")
        return Unreachable(f"no connection to {self.base}: {_innermost(error)}; is the service running, and is its port open on the way?")


def _check_files(connection: Connection) -> None:
    """Read the certificates once: what is wrong with them is the user's to mend, and no trouble of the network.

    :raises OptionError: when there is none in them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca_path, client_cert = connection.ca_path, connection.client_cert
    try:
        if ca_path and connection.validate_certs and not os.path.isdir(ca_path):
            context.load_verify_locations(ca_path)
    except OSError as error:
        raise OptionError(f"ca_path: {ca_path} holds no certificate in PEM format") from error
    try:
        if client_cert:
            context.load_cert_chain(client_cert, connection.client_key, password="")  # else it asks the terminal
    except OSError as error:
        raise OptionError(
            f"client_cert: {client_cert} is no certificate in PEM format with its key, unencrypted, there or in client_key"
        ) from error


def _bear(prepared: requests.PreparedRequest, token: str | None) -> requests.PreparedRequest:
    if token is not None:
        prepared.headers["Authorization"] = f"Bearer {token}"
    return prepared


def _refusal(answer: requests.Response, base: str) -> Refused:
    """The error for an answer that is no success."""
    by_service = "problem+json" in answer.headers.get("Content-Type", "")
    members = (_json_object(answer.content) if by_service else None) or {}
    name = str(members.get("type", "")).rpartition(":")[2]
    if 300 <= answer.status_code < 400:
        text = f"{base} answers with a redirect to {answer.headers.get('Location')}; give that as endpoint if it is the service"
    elif members:
        text = f"{base} says: {members.get('detail') or members.get('title') or name} (HTTP {answer.status_code}, request {members.get('request_id')})"
    elif by_service and answer.request.method == "HEAD":
        text = f"{base} answers HEAD with HTTP {answer.status_code}, request {answer.headers.get('X-Request-Id')}; look for that in the log of the service"
    else:
        text = f"{base} answers with HTTP {answer.status_code} and no problem document; something else than the service may answer there"
    transient = bool(members.get("retryable", answer.status_code in TRANSIENT_STATUSES))
    return Refused(
        text,
        status=answer.status_code,
        problem=name,
        transient=transient,
        retry_after=_seconds(answer.headers.get("Retry-After")),
        members=members,
        by_service=by_service,
    )


def _seconds(retry_after: str | None) -> float | None:
    """Seconds to wait by a Retry-After header: a number, or a date (RFC 9110, section 10.2.3)."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    with contextlib.suppress(TypeError, ValueError):
        return max(
            0.0,
            email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time(),
        )
    return None


def _innermost(error: BaseException) -> str:
    """The sentence at the bottom of a chain of urllib3's errors."""
    while True:
        inner = getattr(error, "reason", None) or next((item for item in error.args if isinstance(item, BaseException)), None)
        if not isinstance(inner, BaseException):
            return str(error).rpartition(": ")[2] or type(error).__name__
        error = inner


def _ssl_reason(text: str) -> str:
    return text.partition("certificate verify failed: ")[2].partition(" (_ssl")[0] or "it does not verify"


def _json_object(content: bytes) -> Json | None:
    with contextlib.suppress(ValueError):
        found = json.loads(content)
        return found if isinstance(found, dict) else None
    return None


__all__ = ["REQUESTS_IMPORT_ERROR", "Answer", "Body", "Http", "Json"]
