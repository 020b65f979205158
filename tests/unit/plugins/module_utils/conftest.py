# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bigfile.oci.tests.unit.plugins.module_utils.tiny_service import Reply, Request, TinyService


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests leads no request elsewhere."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def serve() -> t.Iterator[t.Callable[..., TinyService]]:
    """Starts services; ends them after the test."""
    begun: list[TinyService] = []

    def start(answer: t.Callable[[Request], Reply] | Reply, **options: t.Any) -> TinyService:
        begun.append(TinyService((lambda unused: answer) if isinstance(answer, Reply) else answer, **options))
        return begun[-1]

    yield start
    for service in begun:
        service.close()
