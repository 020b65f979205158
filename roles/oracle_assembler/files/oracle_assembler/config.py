# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The configuration: one frozen value, read once, refused when wrong."""

from __future__ import annotations

import ipaddress
import os
import re
import typing as t

import pydantic

MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40
_HASH = re.compile(r"\$scrypt\$ln=\d{1,2},r=\d{1,2},p=\d{1,2}\$[A-Za-z0-9+/]{16,128}\$[A-Za-z0-9+/]{22,128}")
_MODE = re.compile(r"0?[0-7]{3,4}")


class ConfigError(Exception):
    """The configuration cannot be used; the text is one sentence for a person."""


class _Frozen(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


def _mode(value: str) -> str:
    if not _MODE.fullmatch(value):
        raise ValueError("a mode is three or four octal digits, like 0640")
    return value


def _password_hash(value: str) -> str:
    if not _HASH.fullmatch(value):
        raise ValueError("a password hash looks like $scrypt$ln=14,r=8,p=5$<salt>$<hash>, both base64 without padding")
    return value


def _folder(value: str) -> str:
    if any(part in ("", ".", "..") for part in value.split("/")) or "\0" in value:
        raise ValueError("a user's folder is a relative path without '.', '..' or empty components")
    return value


def _absolute(value: str) -> str:
    if not os.path.isabs(value):
        raise ValueError("an absolute path is needed")
    return value


Mode = t.Annotated[str, pydantic.AfterValidator(_mode)]
Absolute = t.Annotated[str, pydantic.AfterValidator(_absolute)]


class User(_Frozen):
    """Who may log in, and what they may fill."""

    name: t.Annotated[str, pydantic.StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f:]+$")]
    password_hash: t.Annotated[str, pydantic.AfterValidator(_password_hash), pydantic.Field(repr=False)]
    folder: t.Annotated[str, pydantic.AfterValidator(_folder)]
    quota: t.Annotated[int | None, pydantic.Field(ge=0)] = None


class Config(_Frozen):
    """Everything that can be set. Sizes are bytes, times are seconds."""

    listen: str = "127.0.0.1"
    port: t.Annotated[int, pydantic.Field(ge=1, le=65535)] = 8443
    data_dir: Absolute
    state_dir: Absolute
    tls_certificate: Absolute | None = None
    tls_key: Absolute | None = None
    users: tuple[User, ...]
    token_lifetime: t.Annotated[int, pydantic.Field(ge=1, le=30 * 86400)] = 3600
    upload_age: t.Annotated[int, pydantic.Field(ge=1)] = 7 * 86400
    upload_size_max: t.Annotated[int, pydantic.Field(ge=1, le=4096 * TIB)] = 10 * TIB
    part_size_max: t.Annotated[int, pydantic.Field(ge=5 * MIB, multiple_of=MIB)] = 50 * GIB
    file_size_max: t.Annotated[int, pydantic.Field(ge=1)] = 5 * GIB
    file_mode: Mode = "0640"
    folder_mode: Mode = "0750"
    body_timeout: t.Annotated[float, pydantic.Field(gt=0)] = 60
    shutdown_timeout: t.Annotated[float, pydantic.Field(ge=0)] = 30
    log_level: t.Literal["debug", "info", "warning", "error"] = "info"

    @pydantic.field_validator("listen")
    @classmethod
    def _listen(cls, value: str) -> str:
        return str(ipaddress.ip_address(value))

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Config:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together")
        names = [user.name for user in self.users]
        if len(names) != len(set(names)):
            raise ValueError("two users have the same name")
        data, state = (os.path.join(os.path.realpath(path), "") for path in (self.data_dir, self.state_dir))
        if state.startswith(data) or data.startswith(state):
            raise ValueError("data_dir and state_dir must lie outside of each other")
        return self


def load(path: str) -> Config:
    """The configuration in a JSON file.

    :raises ConfigError: with one sentence that never repeats a value.
    """
    try:
        with open(path, "rb") as file:
            return Config.model_validate_json(file.read())
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except pydantic.ValidationError as error:
        raise ConfigError(f"the configuration {path} is wrong: {_sentence(error)}") from error


def _sentence(error: pydantic.ValidationError) -> str:
    return "; ".join(_complaint(item["loc"], item["type"], item["msg"]) for item in error.errors(include_input=False, include_url=False))


def _complaint(place: tuple[int | str, ...], kind: str, message: str) -> str:
    name = ".".join(str(step) for step in place)
    if kind == "extra_forbidden":
        return f"there is no setting {name!r}, is it misspelt?"
    text = message.removeprefix("Value error, ")
    return f"{name}: {text}" if name else text


__all__ = ["Config", "ConfigError", "User", "load"]
