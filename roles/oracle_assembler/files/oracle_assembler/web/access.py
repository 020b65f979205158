# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Calls that need no token: logging in, what the server is, whether it is well."""

from __future__ import annotations

import base64
import os
import secrets
import typing as t

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from .. import __version__
from ..problems import Problem
from ..uploads.beginning import PART_SIZE_MIN, PARTS_MAX
from . import models
from .answers import problems
from .desk import Desk, TheDesk

API = 1
SEALING = ["AES256_GCM_HKDF_1MB"]
router = APIRouter(tags=["access"])


@router.post("/v1/token", responses=problems("malformed", "wrong-credentials", "too-many-attempts", "busy"))
async def log_in(asked: models.Credentials, request: Request, desk: TheDesk) -> models.Token:
    """Exchange a user's name and password for a bearer token."""
    who = (asked.username, request.client.host if request.client else "")
    desk.attempts.check(who)
    if not await _checked(desk, asked):
        desk.attempts.failed(who)
        desk.observer("login-failed", user=asked.username if asked.username in desk.assembler.users() else "unknown", peer=who[1])
        raise Problem("wrong-credentials", "the user name or the password is wrong")
    desk.attempts.succeeded(who)
    return models.Token(token=desk.tokens.issue(asked.username), expires_in=desk.tokens.lifetime)


async def _checked(desk: Desk, asked: models.Credentials) -> bool:
    async with desk.attempts.turn():
        return await desk.assembler.threads.run(desk.passwords.check, asked.username, asked.password)


@router.get("/v1/server", responses=problems())
async def describe_server(desk: TheDesk) -> models.Server:
    """Version, limits and the public key that keys are wrapped with."""
    config = desk.assembler.config
    limits = models.Limits(
        part_size_min=PART_SIZE_MIN, part_size_max=config.part_size_max, parts_max=PARTS_MAX, upload_size_max=config.upload_size_max,
        file_size_max=config.file_size_max, upload_age=config.upload_age, body_timeout=config.body_timeout,
    )  # fmt: skip
    public_key = base64.b64encode(desk.public_key).decode()
    return models.Server(version=__version__, api=API, public_key=public_key, sealing=SEALING, limits=limits)


@router.get("/healthz", responses=problems("storage-failed"))
async def health(desk: TheDesk) -> models.Health:
    """Whether the service can write to its folders."""
    config = desk.assembler.config
    await desk.assembler.threads.run(_try_to_write, (config.data_dir, config.state_dir))
    return models.Health()


def _try_to_write(folders: t.Iterable[str]) -> None:
    for folder in folders:
        name = os.path.join(folder, f".healthz.{secrets.token_hex(4)}")
        try:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            os.unlink(name)
        except OSError as error:
            raise Problem("storage-failed", "the service cannot write to one of its folders; its log says more") from error


@router.get(
    "/metrics", response_class=Response, responses={**problems(), 200: {"content": {"text/plain": {}}, "description": "Prometheus text"}}
)
async def metrics(desk: TheDesk) -> Response:
    """Metrics for Prometheus."""
    return Response(generate_latest(desk.observer.registry), media_type=CONTENT_TYPE_LATEST)
