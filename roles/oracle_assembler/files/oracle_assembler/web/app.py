# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Puts the application together."""

from __future__ import annotations

import asyncio
import contextlib
import typing as t

from fastapi import APIRouter, FastAPI
from starlette.routing import Route

from .. import __version__
from ..attempts import Attempts
from ..tokens import Passwords, Tokens
from ..uploads.assembler import Assembler
from ..uploads.recovery import recover
from ..uploads.shutdown import stop
from ..uploads.sweeping import sweep_for_ever
from . import access, answers, files, folders, uploads
from .desk import Desk
from .gate import Gate
from .observing import Observer

if t.TYPE_CHECKING:
    from ..config import Config
    from ..keys import Keys

_ROUTERS: tuple[APIRouter, ...] = (access.router, folders.router, files.router, uploads.router)


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> t.AsyncIterator[None]:
    assembler: Assembler = app.state.desk.assembler
    recover(assembler)
    sweeper = asyncio.create_task(sweep_for_ever(assembler))
    app.state.started = True
    try:
        yield
    finally:
        sweeper.cancel()
        await stop(assembler)


def bare_app() -> FastAPI:
    """The routes alone: enough to write the OpenAPI file."""
    app = FastAPI(
        title="oracle_assembler", version=__version__, description="Receives files in sealed parts and publishes them whole.",
        openapi_url=None, redirect_slashes=False, lifespan=_lifespan,
    )  # fmt: skip
    for router in _ROUTERS:
        app.include_router(router)
    answers.install(app, [t.cast(Route, route) for router in _ROUTERS for route in router.routes])
    return app


def create_app(config: Config, keys: Keys) -> FastAPI:
    """The whole application; made inside the event loop that will run it."""
    app = bare_app()
    hashes = {user.name: user.password_hash for user in config.users}
    tokens = Tokens(keys.token, hashes, config.token_lifetime)
    observer = Observer(config.data_dir)
    assembler = Assembler(config, keys.hpke, observer)
    app.state.desk = Desk(assembler, observer, Passwords(hashes), tokens, Attempts(), keys.public)
    app.state.started = False
    app.add_middleware(Gate, tokens=tokens, observer=observer, body_timeout=config.body_timeout)
    return app


__all__ = ["bare_app", "create_app"]
