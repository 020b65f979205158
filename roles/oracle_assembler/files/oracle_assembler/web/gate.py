# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What every request passes through, before any of its body is read: a request id, a token, a limit on the body and a timeout on each read.

The bodies of files and parts do not come by here, see connection.py.

Also what every answer passes through: the request id, the log line, the metrics.
"""

from __future__ import annotations

import logging
import secrets
import time
import typing as t

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..problems import Problem
from ..tokens import Tokens
from .answers import answer, problem_of
from .observing import Observer

_log = logging.getLogger("oracle_assembler.request")
_OPEN = {("POST", "/v1/token"), ("GET", "/v1/server"), ("GET", "/healthz"), ("GET", "/metrics")}
JSON_BODY_MAX = 64 << 10


_NOTHING_YET: t.Mapping[str, t.Any] = {"user": None, "upload_id": None, "problem": None, "error": None}
"""What is learnt of a request on its way, for its line in the log."""


class Call:
    """One request on its way; stands between the application and the server."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, body_timeout: float) -> None:
        self.scope, self._receive, self._send, self._timeout = scope, receive, send, body_timeout
        self.request_id = secrets.token_hex(8)
        self.began = time.monotonic()
        self.status = 0
        self.body_done = False
        self._left = JSON_BODY_MAX
        scope["state"] = {**scope.get("state", {}), "request_id": self.request_id, **_NOTHING_YET}

    async def receive(self) -> Message:
        """The next piece of the body, in time."""
        if self.body_done:
            return await self._receive()
        with anyio.move_on_after(self._timeout):
            message = await self._receive()
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise Problem("too-large", f"the body of this call has at most {JSON_BODY_MAX} bytes", limit=JSON_BODY_MAX)
            self.body_done = not message.get("more_body", False)
            return message
        raise Problem("stalled", f"no byte of the body came for {self._timeout:g} seconds")

    async def send(self, message: Message) -> None:
        """A piece of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode())]
        await self._send(message)


class Gate:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, tokens: Tokens, observer: Observer, body_timeout: float) -> None:
        self._app, self._tokens, self._observer, self._timeout = app, tokens, observer, body_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = Call(scope, receive, send, self._timeout)
        await self._pass(call)
        self._account(call)

    async def _pass(self, call: Call) -> None:
        try:
            self._authenticate(call.scope)
            await self._app(call.scope, call.receive, call.send)
        except Exception as error:
            await self._answer(call, error)

    def _authenticate(self, scope: Scope) -> None:
        if (scope["method"], scope["path"]) in _OPEN:
            return
        token = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _space, credential = token.partition(b" ")
        if scheme.lower() != b"bearer" or not credential:
            raise Problem("token-missing", "this call needs 'Authorization: Bearer <token>'; POST /v1/token gives one")
        if "\n" in scope["path"]:  # the framework's routes do not match it
            raise Problem("path-refused", "a path has no control characters")
        scope["state"]["user"] = self._tokens.user(credential.strip().decode("latin-1"))

    async def _answer(self, call: Call, error: Exception) -> None:
        problem = problem_of(error, call.scope["state"])
        if not call.status:
            await answer(problem, call.request_id)(call.scope, call.receive, call.send)

    def _account(self, call: Call) -> None:
        state, scope = call.scope["state"], call.scope
        self._observer.request(call.status)
        facts = {"request_id": call.request_id, "method": scope["method"], "path": scope["path"], "status": call.status}
        facts.update(user=state["user"], problem=state["problem"], seconds=round(time.monotonic() - call.began, 3))
        facts["upload_id"] = state["upload_id"] or scope.get("path_params", {}).get("upload_id")
        level = logging.INFO if call.status >= 400 else logging.DEBUG
        failed = call.status >= 500 or state["error"]
        _log.log(logging.ERROR if failed else level, "request", extra=t.cast("dict[str, object]", facts), exc_info=state["error"])


__all__ = ["Gate"]
