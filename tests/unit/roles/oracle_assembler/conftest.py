# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The service's package on the path, one running service for all, and the service without HTTP."""

from __future__ import annotations

import pathlib
import sys
import typing as t

import pytest

_HERE = pathlib.Path(__file__).parent
for _path in (_HERE, _HERE.parents[3] / "roles" / "oracle_assembler" / "files"):
    if str(_path) not in sys.path:
        sys.path.insert(0, str(_path))

from doubles import Client, Service  # noqa: E402


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Service]:
    """A service that all tests share; short timeouts."""
    running = Service(tmp_path_factory.mktemp("service"), body_timeout=1, file_size_max=32 << 20).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def client(service: Service) -> Client:
    """The user dba."""
    return service.client()


@pytest.fixture
def own_service(tmp_path: pathlib.Path) -> t.Iterator[Service]:
    """A service of the test's own, not yet started."""
    mine = Service(tmp_path)
    yield mine
    mine.stop()
