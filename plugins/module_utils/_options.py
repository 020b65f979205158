# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The options that the modules share, and what is made of them: the connection, the patience, the journal.

Private to the collection bigfile.oci. Documented in plugins/doc_fragments/connection.py.
"""

from __future__ import annotations

import base64
import binascii
import os
import random
import re
import signal
import threading
import typing as t

from ansible.module_utils.basic import env_fallback, missing_required_lib
from ansible.module_utils.common.text.formatters import human_to_bytes

from ._connection import Connection
from ._errors import Interrupted, OptionError, UploadError
from ._file_upload import FileUpload
from ._http import REQUESTS_IMPORT_ERROR
from ._journal import PICKLEDB_IMPORT_ERROR, Journal
from ._pace import Run, deadline_reached
from ._progress import Progress
from ._retry import Policy, persist
from ._sealed.cipher import CRYPTO_IMPORT_ERROR, KEY_SIZE
from ._source import FILECHUNKIO_IMPORT_ERROR

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

LIBRARIES = {
    "requests": REQUESTS_IMPORT_ERROR,
    "pycryptodome": CRYPTO_IMPORT_ERROR,
    "filechunkio": FILECHUNKIO_IMPORT_ERROR,
    "pickledb[sqlite]": PICKLEDB_IMPORT_ERROR,
}

REMEDY = (
    "The role bigfile.oci.upload_client brings all that the modules of bigfile.oci need onto a host, and sets the fact "
    "upload_client_python, to be used as ansible_python_interpreter"
)

SIZE = re.compile(r"\s*[0-9]*\.?[0-9]+\s*[A-Za-z]*\s*")

PATIENCE_AT_FIRST = 2
"""Retries before the service has answered once: a wrong endpoint is to be told soon."""


def from_environment(name: str, **spec: t.Any) -> dict[str, t.Any]:
    """The spec of an option that falls back to ``BIGFILE_<name>``."""
    return {**spec, "fallback": (env_fallback, [f"BIGFILE_{name}"])}


def connection_spec() -> dict[str, dict[str, t.Any]]:
    """The part of an argument spec that every module has."""
    return {
        "endpoint": from_environment("ENDPOINT", type="str", required=True),
        "username": from_environment("USERNAME", type="str"),
        "password": from_environment("PASSWORD", type="str", no_log=True),
        "token": from_environment("TOKEN", type="str", no_log=True),
        "validate_certs": from_environment("VALIDATE_CERTS", type="bool", default=True),
        "ca_path": from_environment("CA_PATH", type="path"),
        "client_cert": from_environment("CLIENT_CERT", type="path"),
        "client_key": from_environment("CLIENT_KEY", type="path", no_log=False),
        "assembler_public_key": from_environment("ASSEMBLER_PUBLIC_KEY", type="str", no_log=False),
        "timeout": from_environment("TIMEOUT", type="float", default=60.0),
        "retries": from_environment("RETRIES", type="int", default=10),
        "deadline": from_environment("DEADLINE", type="float"),
    }


def journal_spec() -> dict[str, dict[str, t.Any]]:
    """The option of the modules that use the journal."""
    return {"journal": from_environment("JOURNAL", type="path")}


def require_libraries(module: AnsibleModule) -> None:
    """Fail with the name of the library that is missing, the Python that lacks it, and what brings it."""
    for name, error in LIBRARIES.items():
        if error is not None:
            module.fail_json(msg=f"{missing_required_lib(name)}. {REMEDY}", exception=error)


class Service(t.NamedTuple):
    """The way to the service, and the life of this run."""

    client: FileUpload
    run: Run
    persist: t.Callable[[t.Callable[[], t.Any]], t.Any]


def service(module: AnsibleModule, progress: Progress | None = None) -> Service:
    """What the connection options of ``module`` lead to; from now on signals end the run in an orderly way.

    :raises OptionError: when they cannot be meant.
    """
    params = module.params
    positive = {"timeout": params["timeout"], "deadline": params["deadline"]}
    for name, value in positive.items():
        if value is not None and not 0 < value < float("inf"):
            raise OptionError(f"{name} is a number of seconds above 0, not {value:g}")
    for name in ("ca_path", "client_cert", "client_key"):
        if params[name] and not os.access(params[name], os.R_OK):
            raise OptionError(f"{name}: {params[name]} does not exist on this host or cannot be read; give a file that this user can read")
    run = Run(params["deadline"])
    progress = progress or Progress()
    _end_on_signals()
    _end_in_time(params["deadline"])
    policy = Policy(retries=max(0, params["retries"]))

    def noted(error: UploadError) -> None:
        module.debug(str(error))
        progress.retrying(str(error))

    def persistently(action: t.Callable[[], t.Any]) -> t.Any:
        patience = policy if client.reached else policy._replace(retries=min(policy.retries, PATIENCE_AT_FIRST))
        try:
            return persist(action, policy=patience, wait=run.wait, random=random.random, noted=noted)
        finally:
            progress.passed()

    names = [name for name in Connection._fields if name != "public_key"]
    pinned = params["assembler_public_key"]
    public_key = key_bytes("assembler_public_key", pinned) if pinned else None
    client = FileUpload(Connection(**{name: params[name] for name in names}, public_key=public_key), persist=persistently)
    return Service(client, run, persistently)


def _end_on_signals() -> None:
    def end(number: int, unused_frame: t.Any) -> t.NoReturn:
        raise Interrupted(f"ended by {signal.Signals(number).name}")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def _end_in_time(deadline: float | None) -> None:
    """A request that stands still looks at no clock, and ``timeout`` may be longer than what is left; the alarm ends it all the same."""

    def end(*unused: t.Any) -> t.NoReturn:
        raise deadline_reached(t.cast(float, deadline))

    if deadline is not None:
        signal.signal(signal.SIGALRM, end)
        signal.setitimer(signal.ITIMER_REAL, min(deadline, threading.TIMEOUT_MAX))


def journal(module: AnsibleModule, *, read_only: bool = False) -> Journal:
    """The journal where the user wants it; check mode changes nothing in it."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    path = module.params["journal"] or os.path.join(state, "bigfile.oci", "journal.db")
    opened = Journal(path, read_only=read_only or module.check_mode)
    for warning in opened.warnings:
        module.warn(warning)
    return opened


def key_bytes(option: str, text: str) -> bytes:
    """A key of 32 bytes out of its base64; the key itself stays out of the error.

    :raises OptionError: when it is none.
    """
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise OptionError(f"{option} is not base64; it takes {KEY_SIZE} bytes in that form") from error
    if len(key) != KEY_SIZE:
        raise OptionError(f"{option} is base64 of {len(key)} bytes; it takes {KEY_SIZE}")
    return key


def size_in_bytes(option: str, text: str | None) -> int | None:
    """A number of bytes out of C(16M) and the like; units are powers of 1024.

    :raises OptionError: when it is none.
    """
    if text is None:
        return None
    try:
        if not SIZE.fullmatch(text):
            raise ValueError(text)  # ansible-core before 2.18 reads the 1 in 1,5M
        size = int(human_to_bytes(text))
    except ValueError as error:
        raise OptionError(f"{option}: {text} is no size; write bytes, or a number with K, M, G or T") from error
    if size <= 0:
        raise OptionError(f"{option} is a size above 0, not {text}")
    return size


__all__ = [
    "Service",
    "connection_spec",
    "from_environment",
    "journal",
    "journal_spec",
    "key_bytes",
    "require_libraries",
    "service",
    "size_in_bytes",
]
