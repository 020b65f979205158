# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""file-upload: the wrapper around the service's REST API, a method per call of docs/protocol.md.

Private to the collection bigfile.oci. It makes tokens, uploads content, creates and deletes folders and files, lists and stitches. Each
call is tried again as the policy says; a token that expired is renewed on the way.
"""

from __future__ import annotations

import base64
import contextlib
import threading
import typing as t
from urllib.parse import quote

from ._connection import Connection
from ._errors import OptionError, Refused, Untrusted
from ._http import Answer, Body, Http, Json
from ._sealed.cipher import KEY_SIZE

API = 1
"""The version of the protocol that we speak."""

_A_MOMENT = {"Prefer": "wait=1"}
"""Seconds that the service may take for its answer (RFC 7240): saves asking again."""


def _once(action: t.Callable[[], t.Any]) -> t.Any:
    return action()


class FileUpload:
    """The service at ``connection.endpoint``. May be used by many threads.

    Every method raises :class:`Refused` for what the service refuses, :class:`Unreachable` when it does not answer, and
    :class:`Untrusted` when its certificate is not trusted.

    :param persist: wraps each call and tries it again, see :mod:`_retry`
    """

    def __init__(
        self,
        connection: Connection,
        *,
        persist: t.Callable[[t.Callable[[], t.Any]], t.Any] = _once,
    ) -> None:
        self._http = Http(connection)
        self._connection = connection
        self._persist = persist
        self._token = connection.token or None  # an environment variable may be set to nothing
        self._renewal = threading.Lock()
        self._facts: Json | None = None

    @property
    def base(self) -> str:
        """The endpoint without a trailing slash."""
        return self._http.base

    @property
    def reached(self) -> bool:
        """Whether the service has answered once; before that, little patience is due."""
        return self._http.reached

    def url(self, path: str) -> str:
        """Where a published file can be had."""
        return self.base + _route("files", path)

    # Tokens

    def token(self) -> str:
        """A bearer token: the one given, or one made from user and password and kept while it holds."""
        with self._renewal:
            if self._token is None:
                self._token = self._generate_token()
            return self._token

    def _generate_token(self) -> str:
        who = self._connection
        if not who.username or not who.password:
            raise OptionError("give username and password, or a token")
        answer = self._http.send(
            "POST",
            "/v1/token",
            members={"username": who.username, "password": who.password},
        )
        return str(answer.member("token"))

    def _drop_token(self, used: str | None) -> bool:
        """Forget a token that is refused; whether another one can be had."""
        with self._renewal:
            if self._token == used and self._connection.password:
                self._token = None
            return self._token is None or self._token != used

    # The service

    def server(self) -> Json:
        """Version, limits and public key of the service; asked for once.

        :raises Untrusted: when it is none of ours, too old, or not the one that is pinned.
        """
        if self._facts is None:
            self._facts = self._examined(self._call("GET", "/v1/server", authenticated=False))
        return self._facts

    def _examined(self, answer: Answer) -> Json:
        facts = answer.json()
        if facts.get("service") != "oracle_assembler":
            raise Untrusted(f"what answers at {self.base} is not the service oracle_assembler; look at the endpoint")
        if not isinstance(facts.get("api"), int) or facts["api"] < API:
            raise Untrusted(
                f"the service at {self.base} is too old: it speaks version {facts.get('api')} of the protocol, {API} is needed; "
                "deploy it again with the role bigfile.oci.oracle_assembler"
            )
        answer.member("sealing")
        if self._connection.public_key not in (None, _public_key(answer)):
            raise Untrusted(
                f"the service at {self.base} shows another public key than assembler_public_key; if it was deployed anew, take its new key "
                "from the role's output, else somebody stands in between"
            )
        return facts

    # Folders

    def create_folder(self, path: str) -> bool:
        """Create a folder and its parents; whether it was not there."""
        return self._call("PUT", _route("folders", path)).status == 201

    def list_folder(self, path: str) -> list[Json]:
        """The entries of a folder."""
        return list(self._call("GET", _route("folders", path)).member("entries"))

    def folder_exists(self, path: str) -> bool:
        """Whether there is a folder at ``path``."""
        try:
            self.list_folder(path)
        except Refused as error:
            if error.problem in ("not-found", "not-a-folder"):
                return False
            raise
        return True

    def delete_folder(self, path: str, *, recursive: bool = False) -> bool:
        """Delete a folder, with all in it when ``recursive``; whether it was there."""
        return self._delete(_route("folders", path) + ("?recursive=true" if recursive else ""))

    # Files

    def file(self, path: str) -> Json | None:
        """``size``, ``sha256`` (None where the service does not know it) and ``mode`` of a published file; None when there is none."""
        try:
            answer = self._call("HEAD", _route("files", path))
        except Refused as error:
            if error.is_absence:
                return None
            raise
        for name in ("Content-Length", "File-Mode"):
            if name not in answer.headers:
                raise Refused(
                    f"the answer to {answer.request} has no {name}; something else than the service may answer there",
                    status=answer.status,
                )
        return {
            "path": path,
            "size": int(answer.headers["Content-Length"]),
            "sha256": _digest_from(answer.headers.get("Repr-Digest", "")),
            "mode": answer.headers["File-Mode"],
        }

    def put_file(self, path: str, headers: dict[str, str], body: t.Callable[[], Body]) -> Json:
        """Upload a whole file in one request; its receipt. ``body`` is called for each try."""
        return self._call("PUT", _route("files", path), headers=headers, body=body).json()

    def set_mode(self, path: str, mode: str) -> None:
        """Give a published file this mode (octal, as text)."""
        self._call("PATCH", _route("files", path), members={"mode": mode})

    def delete_file(self, path: str) -> bool:
        """Delete a published file; whether it was there."""
        return self._delete(_route("files", path))

    # Uploads

    def begin(self, wanted: Json) -> Json:
        """Begin an upload, or find it begun under the same id."""
        return self._call("POST", "/v1/uploads", members=wanted).json()

    def uploads(self, path: str | None = None) -> list[Json]:
        """My pending uploads, of one destination or all."""
        route = "/v1/uploads" + (f"?path={quote(path, safe='')}" if path else "")
        return list(self._call("GET", route).member("uploads"))

    def upload(self, upload_id: str) -> Json | None:
        """The state of an upload, given a moment to end its stitching; None when the service does not know it."""
        try:
            return self._call("GET", f"/v1/uploads/{upload_id}", headers=dict(_A_MOMENT)).json()
        except Refused as error:
            if error.is_absence:
                return None
            raise

    def put_part(
        self,
        upload_id: str,
        number: int,
        body: Body,
        *,
        key: str | None,
        replaces: str | None,
    ) -> str:
        """Send a part, once; its ETag as the service has it.

        :param key: the wrapped key in base64, when the part is to be opened as it comes
        :param replaces: the ETag of wrong content that this part is to replace
        """
        headers = {"Content-Type": "application/octet-stream"}
        if key is not None:
            headers["Upload-Key"] = key
        if replaces is not None:
            headers["If-Match"] = f'"{replaces}"'
        answer = self._authenticated(
            "PUT",
            f"/v1/uploads/{upload_id}/parts/{number}",
            headers=headers,
            body=lambda: body,
        )
        return str(answer.member("etag"))

    def stitch(self, upload_id: str, wanted: Json) -> Json:
        """Ask for the file to be put together; the upload as it stands a moment later."""
        return self._call("POST", f"/v1/uploads/{upload_id}/stitch", members=wanted, headers=dict(_A_MOMENT)).json()

    def abort(self, upload_id: str) -> bool:
        """Give up an upload; whether it was there."""
        return self._delete(f"/v1/uploads/{upload_id}")

    # Requests

    def _delete(self, route: str) -> bool:
        try:
            self._call("DELETE", route)
        except Refused as error:
            if error.is_absence:
                return False
            raise
        return True

    def _call(self, method: str, route: str, *, authenticated: bool = True, **request: t.Any) -> Answer:
        send = self._authenticated if authenticated else self._http.send
        return t.cast(Answer, self._persist(lambda: send(method, route, **request)))

    def _authenticated(self, method: str, route: str, **request: t.Any) -> Answer:
        token = self.token()
        try:
            return self._http.send(method, route, token=token, **request)
        except Refused as error:
            if error.status == 401 and self._drop_token(token):
                error.transient = True
            raise


def _public_key(answer: Answer) -> bytes:
    with contextlib.suppress(ValueError):
        key = base64.b64decode(str(answer.member("public_key")), validate=True)
        if len(key) == KEY_SIZE:
            return key
    raise Untrusted(
        f"the answer to {answer.request} has no public key of {KEY_SIZE} bytes; something else than the service may answer there"
    )


def _route(kind: str, path: str) -> str:
    return f"/v1/{kind}/{quote(path, safe='/')}"


def _digest_from(header: str) -> str | None:
    """The SHA-256 in a Repr-Digest header (RFC 9530), in hexadecimal."""
    for item in header.split(","):
        name, _equals, value = item.strip().partition("=")
        if name == "sha-256":
            with contextlib.suppress(ValueError):
                digest = base64.b64decode(value.strip(":"), validate=True)
                return digest.hex() if len(digest) == 32 else None
    return None


__all__ = ["API", "FileUpload"]
