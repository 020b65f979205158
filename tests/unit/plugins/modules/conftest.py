# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import types
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils import basic

from ansible_collections.bigfile.oci.tests.unit.plugins.module_utils.conftest import no_proxy, serve

__all__ = ["no_proxy", "own_environment", "run_module", "run_process", "serve"]


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[None]:
    """No option comes from the environment of whoever runs the tests, no file goes there, no signal is kept."""
    for name in ("ENDPOINT", "USERNAME", "PASSWORD", "TOKEN", "ENCRYPTION_KEY", "JOURNAL", "VALIDATE_CERTS", "CA_PATH"):
        monkeypatch.delenv(f"BIGFILE_{name}", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)}
    timer = signal.getitimer(signal.ITIMER_REAL)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.setitimer(signal.ITIMER_REAL, *timer)


class Result(dict[str, t.Any]):
    """What the module answered; ``said`` is all that it wrote."""

    said: str = ""


RunModule = t.Callable[..., Result]


@pytest.fixture
def run_module(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> RunModule:
    """Runs the ``main`` of a module with options, as ansible does."""

    def run(main: t.Callable[[], None], *, check_mode: bool = False, **options: t.Any) -> Result:
        settings = {"_ansible_check_mode": check_mode, "_ansible_remote_tmp": str(tmp_path)}
        arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {**options, **settings}}).encode()
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", arguments, raising=False)
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        with pytest.raises(SystemExit):
            main()
        out, err = capfd.readouterr()
        result = Result(json.loads(out))
        result.said = out + err
        return result

    return run


@pytest.fixture
def run_process(tmp_path: Path) -> RunModule:
    """Runs a module as a process of its own, with a file of options."""

    def run(module: types.ModuleType, **options: t.Any) -> Result:
        file = tmp_path / "arguments.json"
        file.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {**options, "_ansible_remote_tmp": str(tmp_path)}}))
        tree = Path(str(module.__file__)).parents[5]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tree), *sys.path])}
        command = [sys.executable, "-m", module.__name__, str(file)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert "Traceback" not in done.stderr
        result = Result(json.loads(done.stdout))
        result.said = done.stdout + done.stderr
        return result

    return run
