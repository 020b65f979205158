# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Every error answer is a problem (RFC 9457): ours, the framework's, and what nobody expected."""

from __future__ import annotations

import typing as t

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from ..problems import KINDS, MEDIA_TYPE, Problem, from_os_error

_SCHEMA = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_FRAMEWORK = {404: "not-found", 405: "method-not-allowed", 400: "malformed", 413: "too-large"}


def answer(problem: Problem, request_id: str, headers: t.Mapping[str, str] | None = None) -> Response:
    """A problem as an HTTP answer."""
    return JSONResponse(
        problem.document(request_id), problem.kind.status, headers={**problem.headers, **(headers or {})}, media_type=MEDIA_TYPE
    )


def problem_of(error: BaseException, state: dict[str, t.Any]) -> Problem:
    """What to answer to an exception; noted in the state of its request, for the one line that the log has of it."""
    problem = _known(error)
    if problem is None:
        state["error"] = error
        problem = (from_os_error(error) if isinstance(error, OSError) else None) or Problem(
            "internal", "the service failed, its log says why"
        )
    state["problem"] = problem.name
    return problem


def _known(error: BaseException) -> Problem | None:
    if isinstance(error, Problem):
        return error
    if isinstance(error.__cause__, Problem):  # raised while the framework read a body
        return error.__cause__
    if isinstance(error, RequestValidationError):
        return Problem("invalid", _complaints(error))
    if isinstance(error, HTTPException):
        return Problem(_FRAMEWORK.get(error.status_code, "malformed"), str(error.detail))
    if isinstance(error, ClientDisconnect):
        return Problem("malformed", "the connection ended before the body did")
    return None


def _complaints(error: RequestValidationError) -> str:
    return "; ".join(f"{'.'.join(str(step) for step in item['loc'][1:]) or 'the body'}: {item['msg']}" for item in error.errors())


async def handle(request: Request, error: Exception) -> Response:
    """The one exception handler."""
    problem = problem_of(error, request.scope["state"])
    headers = {"Allow": _allowed(request)} if problem.name == "method-not-allowed" else getattr(error, "headers", None)
    return answer(problem, request.state.request_id, headers)


def _allowed(request: Request) -> str:
    """All methods of this path (RFC 9110, section 10.2.1); the framework names those of one route."""
    matching = (route for route in request.app.state.routes if route.matches(request.scope)[0] != Match.NONE)
    return ", ".join(sorted({method for route in matching for method in route.methods or ()}))


def install(app: FastAPI, routes: t.Sequence[Route]) -> None:
    """Let it handle all exceptions of an application that has these routes."""
    app.state.routes = routes
    for kind in (Problem, RequestValidationError, HTTPException, OSError, ClientDisconnect):
        app.add_exception_handler(kind, handle)


def problems(*names: str) -> dict[int | str, dict[str, t.Any]]:
    """The problem answers of a route, for the OpenAPI file."""
    answers: dict[int | str, dict[str, t.Any]] = {}
    for name in sorted((*names, "invalid", "internal"), key=lambda name: (KINDS[name].status, name)):
        entry = answers.setdefault(KINDS[name].status, {"content": _SCHEMA, "description": ""})
        entry["description"] = f"{entry['description']}, {name}".lstrip(", ")
    return answers


__all__ = ["answer", "handle", "install", "problem_of", "problems"]
