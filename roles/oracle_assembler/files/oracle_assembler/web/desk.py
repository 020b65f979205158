# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What routes need to find in a request: the service, the user, the path as it was sent."""

from __future__ import annotations

import typing as t
import urllib.parse

from fastapi import Depends, Path, Request, Security
from fastapi.security import HTTPBearer

from ..attempts import Attempts
from ..problems import Problem
from ..tokens import Passwords, Tokens
from ..uploads.assembler import Assembler
from .connection import BODY, Body
from .observing import Observer


class Desk(t.NamedTuple):
    """Everything that was made once at the start."""

    assembler: Assembler
    observer: Observer
    passwords: Passwords
    tokens: Tokens
    attempts: Attempts
    public_key: bytes


async def desk_of(request: Request) -> Desk:
    """The service's desk."""
    return t.cast(Desk, request.app.state.desk)


async def assembler_of(request: Request) -> Assembler:
    """The service without HTTP."""
    return t.cast(Desk, request.app.state.desk).assembler


_bearer = HTTPBearer(auto_error=False, description="A token of POST /v1/token.")


async def user_of(request: Request, _credentials: t.Annotated[t.Any, Security(_bearer)]) -> str:
    """Who asks; the gate has checked the token, this tells the OpenAPI file so."""
    return str(request.state.user)


async def path_of(request: Request, _path: t.Annotated[str, Path(alias="path", description="Encoded component by component.")]) -> str:
    """What stands behind ``/v1/<kind>/`` as it was sent, decoded component by component: an encoded slash is no separator.

    :raises Problem: ``path-refused``.
    """
    raw: bytes = request.scope["raw_path"].split(b"?", 1)[0]
    _root, _version, _kind, *components = raw.split(b"/")
    return "/".join(_decoded(component) for component in components)


def _decoded(component: bytes) -> str:
    try:
        text = urllib.parse.unquote_to_bytes(component).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Problem("path-refused", "a path is UTF-8, percent-encoded") from error
    if "/" in text:
        raise Problem("path-refused", "a component of a path has no slash")
    return text


def length_of(request: Request) -> int:
    """The length of the body.

    :raises Problem: ``length-required``.
    """
    text = request.headers.get("content-length", "")
    if not (text.isascii() and text.isdigit()):
        raise Problem("length-required", "this call needs a Content-Length")
    return int(text)


def body_of(request: Request) -> Body:
    """The body, to be received where it is wanted."""
    return t.cast(Body, request.scope["extensions"][BODY])


TheDesk = t.Annotated[Desk, Depends(desk_of)]
TheAssembler = t.Annotated[Assembler, Depends(assembler_of)]
TheUser = t.Annotated[str, Depends(user_of)]
ThePath = t.Annotated[str, Depends(path_of)]

BINARY_BODY: t.Mapping[str, t.Any] = {
    "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}

__all__ = ["BINARY_BODY", "Desk", "TheAssembler", "TheDesk", "ThePath", "TheUser", "body_of", "length_of"]
