# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The command line and the configuration."""

from __future__ import annotations

import base64
import json
import pathlib
import subprocess
import sys
import typing as t

import pytest
from doubles import FILES, OPENAPI, Service, environment

from oracle_assembler.config import Config, ConfigError, load

HASH = "$scrypt$ln=14,r=8,p=5$" + "A" * 22 + "$" + "A" * 43
USER = {"name": "dba", "password_hash": HASH, "folder": "dba"}
LEAST = {"data_dir": "/srv/data", "state_dir": "/srv/state", "users": [USER]}


def read(tmp_path: pathlib.Path, **changes: t.Any) -> Config:
    """A configuration from a file."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**LEAST, **changes}), "utf-8")
    return load(str(path))


def test_init_makes_keys_and_folders_once_and_tells_the_public_key(own_service: Service) -> None:
    first, second = own_service.run("init"), own_service.run("init")
    assert (json.loads(first.stdout)["changed"], json.loads(second.stdout)["changed"]) == (True, False)
    public_key = json.loads(first.stdout)["public_key"]
    assert len(base64.b64decode(public_key)) == 32
    assert json.loads(second.stdout)["public_key"] == own_service.run("public-key").stdout.strip() == public_key
    for name in ("hpke.key", "token.key"):
        key = own_service.state / name
        assert key.stat().st_mode & 0o777 == 0o600
        assert len(bytes.fromhex(key.read_text("ascii"))) == 32
        assert key.read_text("ascii") not in first.stdout + first.stderr
    assert own_service.state.stat().st_mode & 0o777 == 0o700
    assert own_service.data.stat().st_mode & 0o777 == 0o750


def test_openapi_json_is_what_the_service_says_of_itself() -> None:
    command = [sys.executable, "-m", "oracle_assembler", "openapi"]
    written = subprocess.run(command, cwd=FILES, env=environment(), capture_output=True, text=True, check=True, timeout=60).stdout
    assert json.loads(written) == OPENAPI


def test_the_defaults_are_those_of_the_documentation(tmp_path: pathlib.Path) -> None:
    config = read(tmp_path)
    assert (config.listen, config.port, config.token_lifetime, config.upload_age) == ("127.0.0.1", 8443, 3600, 604_800)
    assert (config.upload_size_max, config.part_size_max, config.file_size_max) == (10 << 40, 50 << 30, 5 << 30)
    with pytest.raises(ValueError, match="frozen"):
        config.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"lisen": "::"}, "no setting 'lisen', is it misspelt"),
        ({"users": [{**USER, "quotas": 1}]}, "no setting 'users.0.quotas'"),
        ({"listen": "localhost"}, "listen: "),
        ({"port": 0}, "port: "),
        ({"port": "x"}, "port: "),
        ({"data_dir": "relative"}, "data_dir: an absolute path"),
        ({"state_dir": "/srv/data/state"}, "outside of each other"),
        ({"part_size_max": 5_000_000_000}, "part_size_max: "),
        ({"file_mode": "rw"}, "file_mode: a mode is"),
        ({"tls_key": "/x"}, "belong together"),
        ({"users": [USER, USER]}, "same name"),
        ({"users": [{**USER, "folder": "../x"}]}, "users.0.folder: "),
        ({"users": [{**USER, "password_hash": "hunter2"}]}, "users.0.password_hash: "),
        ({"users": None}, "users: "),
        ({"log_level": "loud"}, "log_level: "),
    ],
)
def test_a_wrong_configuration_is_refused_in_one_sentence_that_repeats_no_secret(
    tmp_path: pathlib.Path, changes: dict[str, t.Any], says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, **changes)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value) and "hunter2" not in str(caught.value)


@pytest.mark.parametrize("command", ["check", "serve", "init"])
def test_a_wrong_configuration_stops_every_command_with_one_line(own_service: Service, command: str) -> None:
    own_service.config.write_text(json.dumps({**json.loads(own_service.config.read_text("utf-8")), "prot": 1}), "utf-8")
    done = own_service.run(command)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [done.stderr.strip()] and "misspelt" in done.stderr


@pytest.mark.parametrize("content", ["", "{", "[]", None])
def test_a_file_that_is_no_configuration_is_refused(tmp_path: pathlib.Path, content: str | None) -> None:
    path = tmp_path / "config.json"
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(ConfigError):
        load(str(path))


def test_a_port_that_is_taken_and_a_certificate_that_is_none_stop_the_start_with_one_line(service: Service, own_service: Service) -> None:
    settings = json.loads(own_service.config.read_text("utf-8"))
    own_service.config.write_text(json.dumps({**settings, "port": int(service.url.rpartition(":")[2])}), "utf-8")
    done = own_service.run("serve")
    assert done.returncode == 1 and "Address already in use" in done.stderr.splitlines()[-1]
    none = str(own_service.config)
    own_service.config.write_text(json.dumps({**settings, "tls_certificate": none, "tls_key": none}), "utf-8")
    for command in ("check", "serve"):
        done = own_service.run(command)
        assert done.returncode == 1 and "not a certificate" in done.stderr
