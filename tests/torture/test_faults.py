"""Whatever the network does: the right file or a clear error, never a hang, and the next run completes."""

from __future__ import annotations

import json
import shutil
import typing as t
from pathlib import Path

import pytest
import requests

from ansible_collections.bigfile.oci.tests.integration.conftest import Run, Service, make_file, sha256_of
from oracle_assembler.keys import load_keys
from oracle_assembler.tokens import Tokens

from .conftest import Figures
from .plan import Plan, plan
from .proxy import Proxy
from .rig import WrongClient, pending_keys, told

TIMEOUT, RETRIES, DEADLINE = 2, 8, 40
GRACE = 12
"""Seconds beyond the deadline: starting Python on a busy machine, and saying goodbye."""


def expired_token(service: Service) -> str:
    """A token that this service issued an hour and a day ago."""
    hashes = {user["name"]: user["password_hash"] for user in json.loads(service.config.read_text())["users"]}
    return Tokens(load_keys(str(service.state)).token, hashes, 3600).issue("dba", now=0)


def public_key(service: Service) -> str:
    """What a task pins."""
    answer = requests.get(f"{service.url}/v1/server", timeout=10, verify=False)
    return str(answer.json()["public_key"])


class Trial:
    """One plan carried out."""

    def __init__(self, todo: Plan, service: Service, folder: Path, certificate: Path) -> None:
        self.plan, self.service = todo, service
        self.name = f"run{todo.seed}/{'n' * 20}.bin"
        self.client = WrongClient(folder / "client", service)
        self.source = make_file(folder / "source.bin", todo.size, seed=todo.seed)
        self.older = make_file(folder / "older.bin", 1 << 20, seed=-todo.seed)
        ends_tls = todo.way == "web-tls"
        self.proxy = Proxy(
            service.port,
            todo.faults,
            wire=todo.way.startswith("wire"),
            certificate=certificate if ends_tls else None,
            expired=expired_token(service),
        )
        scheme = "https" if ends_tls or service.tls else "http"
        self.options = {
            **todo.options,
            "dest": self.name,
            "endpoint": f"{scheme}://127.0.0.1:{self.proxy.port}",
            "timeout": TIMEOUT,
            "retries": RETRIES,
            "deadline": DEADLINE,
            "assembler_public_key": public_key(service),
            **({"ca_path": str(certificate)} if scheme == "https" else {}),
        }

    def run(self) -> Run:
        wrong = {"skew": self.plan.skew, "no_names": self.plan.no_names}
        return self.client.finish(self.client.set_out(self.source, wrong=wrong, **self.options), DEADLINE + GRACE)

    @property
    def published(self) -> Path:
        return self.service.root / self.name

    def nothing_wrong_is_published(self) -> None:
        whole = [self.source, self.older] if self.plan.replaces else [self.source]
        right = {sha256_of(path) for path in whole}
        own = (".segments", ".partial")
        files = [path for path in self.service.root.rglob("*") if path.is_file() and path.suffix != own[1] and own[0] not in str(path)]
        assert all(sha256_of(path) in right for path in files), "something else than source or older file was published"
        assert set(files) <= {self.published}, "something was published elsewhere"
        assert self.published in files or not self.plan.replaces, "the older file is gone"


@pytest.fixture
def trial(seed: int, services: t.Callable[..., Service], tmp_path: Path, certificate: Path) -> t.Iterator[Trial]:
    todo = plan(seed)
    service = services(tls=todo.way == "wire-tls", short_tokens=todo.short_tokens)
    found = Trial(todo, service, tmp_path, certificate)
    yield found
    found.proxy.close()
    for upload in asked(service, "GET", "/v1/uploads").json()["uploads"]:
        asked(service, "DELETE", f"/v1/uploads/{upload['id']}")
    shutil.rmtree(service.root)
    service.root.mkdir()


def asked(service: Service, method: str, route: str) -> requests.Response:
    """An answer, however short tokens live."""
    while True:
        answer = service.call(method, route)
        if answer.status_code != 401:
            return answer


def test_whatever_the_network_does_the_file_is_right_or_the_error_is_clear(trial: Trial, figures: Figures) -> None:
    print(trial.plan)
    if trial.plan.replaces:
        trial.published.parent.mkdir()
        shutil.copy(trial.older, trial.published)
    first = trial.run()
    assert first.seconds < DEADLINE + GRACE, "it hung"
    assert first.code == 0 or told(first), first.text
    trial.nothing_wrong_is_published()
    if first.code == 0:
        assert sha256_of(trial.published) == sha256_of(trial.source)
    print(first.text)

    struck = list(trial.proxy.struck)
    trial.proxy.calm()
    trial.plan = trial.plan._replace(no_names=0)
    again = trial.run()
    assert again.code == 0, again.text
    assert first.code != 0 or again.result["changed"] is False
    trial.nothing_wrong_is_published()
    assert sha256_of(trial.published) == sha256_of(trial.source)
    assert pending_keys(trial.client) == []
    figures(
        way=trial.plan.way,
        struck=[*struck, *(["clock off"] if trial.plan.skew else []), *(["name not found"] if first.code and trial.plan.no_names else [])],
        completed=first.code == 0,
        seconds=first.seconds,
        parts_again=again.result["parts_sent"],
    )
