# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The command line: ``python -m oracle_assembler --config FILE serve|init|check|public-key|openapi``."""

from __future__ import annotations

import argparse
import asyncio
import base64
import fcntl
import json
import os
import ssl
import sys
import typing as t

from .config import Config, ConfigError, load
from .keys import Keys, load_keys, prepare_state
from .logs import configure
from .process import leave, settle


class _Stop(Exception):
    """Ends the command with this one line on standard error."""


def _init(config: Config) -> bool:
    changed = prepare_state(config.state_dir)
    if not os.path.isdir(config.data_dir):
        os.makedirs(config.data_dir, mode=0o700)
        changed = True
    for user in config.users:
        folder = os.path.join(config.data_dir, user.folder)
        if not os.path.isdir(folder):
            os.makedirs(folder)
            os.chmod(folder, int(config.folder_mode, 8))
            changed = True
    return changed


def _keys(config: Config) -> Keys:
    try:
        return load_keys(config.state_dir)
    except FileNotFoundError as error:
        raise _Stop("there are no keys yet: run init first") from error
    except ValueError as error:
        raise _Stop(str(error)) from error


def _public_key(config: Config) -> str:
    return base64.b64encode(_keys(config).public).decode()


def _check_tls(config: Config) -> None:
    if config.tls_certificate and config.tls_key:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(config.tls_certificate, config.tls_key, password="")
        except ssl.SSLError as error:
            raise _Stop(f"{config.tls_certificate} and {config.tls_key} are not a certificate and its key: {error.reason}") from error
        except OSError as error:
            raise _Stop(f"cannot read {config.tls_certificate} and {config.tls_key}: {error.strerror}") from error


def _lock(config: Config) -> int:
    """Two services on one state folder would spoil each other's uploads."""
    descriptor = os.open(os.path.join(config.state_dir, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise _Stop(f"another service uses {config.state_dir}") from error
    return descriptor


def serve(config: Config) -> None:
    """Run the service."""
    from .web.server import NotStarted  # pylint: disable=import-outside-toplevel
    from .web.server import serve as serve_http

    configure(config.log_level)
    settle()
    _check_tls(config)
    _init(config)
    keys = _keys(config)
    lock = _lock(config)
    try:
        asyncio.run(serve_http(config, keys))
    except NotStarted as error:
        os.close(lock)
        raise _Stop(str(error)) from error
    leave()


def init(config: Config) -> None:
    """Make keys and folders that are missing."""
    changed = _init(config)
    _write({"changed": changed, "public_key": _public_key(config)})


def check(config: Config) -> None:
    """The configuration was read, and so it can be used."""
    _check_tls(config)
    _write({"valid": True})


def public_key(config: Config) -> None:
    """Show the public key."""
    sys.stdout.write(_public_key(config) + "\n")


def _write(value: t.Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")


def openapi() -> None:
    """Write the OpenAPI file."""
    from .web.app import bare_app  # pylint: disable=import-outside-toplevel

    sys.stdout.write(json.dumps(bare_app().openapi(), indent=2, sort_keys=True) + "\n")


_COMMANDS: t.Mapping[str, t.Callable[[Config], None]] = {"serve": serve, "init": init, "check": check, "public-key": public_key}


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="oracle_assembler", description="Receives files in sealed parts and publishes them whole.")
    parser.add_argument("--config", metavar="FILE", help="the configuration, JSON; not needed for openapi")
    parser.add_argument("command", choices=[*_COMMANDS, "openapi"])
    asked = parser.parse_args(arguments)
    try:
        if asked.command == "openapi":
            openapi()
        elif asked.config is None:
            raise _Stop("--config is needed")
        else:
            _COMMANDS[asked.command](load(asked.config))
    except (ConfigError, _Stop) as error:
        sys.stderr.write(f"oracle_assembler: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"oracle_assembler: {error.filename or 'the system'}: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
