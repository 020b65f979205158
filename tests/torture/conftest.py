"""What goes wrong, on purpose: the long form and the short, and the figures of a run.

A test tells figures with the fixture ``figures``; they reach the process that sums up also from workers, and report.py writes them into
docs/reliability.md when ``--docs`` names it.
"""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bigfile.oci.tests.integration.conftest import Service
from ansible_collections.bigfile.oci.tests.unit.plugins.module_utils.tiny_service import self_signed

from . import report

SHORT, LONG = 30, 320
"""Seeded runs."""

Figures = t.Callable[..., None]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("torture")
    group.addoption("--long", action="store_true", help="all of it, not only what fits into three minutes")
    group.addoption("--seed", type=int, action="append", help="these seeded runs alone, and again")
    group.addoption("--docs", type=Path, help="the document that the figures are written into")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: only in the long form")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("long"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        long = metafunc.config.getoption("long")
        metafunc.parametrize("seed", metafunc.config.getoption("seed") or range(1, (LONG if long else SHORT) + 1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> t.Generator[None, pytest.TestReport, pytest.TestReport]:
    found = yield
    if found.failed:
        name, _bracket, case = item.name.rstrip("]").partition("[")
        which = (
            f"--seed {case} -k {name}"
            if "seed" in getattr(item, "fixturenames", ())
            else f"-k '{name} and {case}'"
            if case
            else f"-k {name}"
        )
        long = "--long " if item.config.getoption("long") else ""
        found.sections.append(("once more", f"tests/gates/torture {long}{which}"))
    return found


_figures: dict[str, list[report.Facts]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call":
        room = Path(report.fspath).stem.removeprefix("test_")
        found = [facts for name, facts in report.user_properties if name == "figures"]
        _figures.setdefault(room, []).extend(found)  # type: ignore[arg-type]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Keep the figures of a long run; a room that was not run keeps those it has."""
    if hasattr(session.config, "workerinput") or not session.config.getoption("long"):
        return
    kept = Path(os.environ["BIGFILE_BUILD"], "torture.json")
    figures = {**(json.loads(kept.read_text()) if kept.exists() else {}), **{room: facts for room, facts in _figures.items() if facts}}
    kept.write_text(json.dumps(figures, indent=1))
    docs = session.config.getoption("docs")
    if docs:
        docs.write_text(report.filled(docs.read_text("utf-8"), figures), "utf-8")


@pytest.fixture
def figures(record_property: t.Callable[[str, object], None]) -> Figures:
    """Tells what a test found out, by name."""
    return lambda **facts: record_property("figures", facts)


@pytest.fixture
def long(pytestconfig: pytest.Config) -> bool:
    """Whether there is time."""
    return bool(pytestconfig.getoption("long"))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key of loopback."""
    return self_signed(tmp_path_factory.mktemp("tls") / "both.pem")


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> t.Iterator[t.Callable[..., Service]]:
    """Services that tests share, by what is special of them; each is started when it is first asked for."""
    running: dict[tuple[bool, bool], Service] = {}

    def service(*, tls: bool = False, short_tokens: bool = False) -> Service:
        if (tls, short_tokens) not in running:
            settings: dict[str, t.Any] = {"body_timeout": 3}
            if tls:
                settings.update(tls_certificate=str(certificate), tls_key=str(certificate))
            if short_tokens:
                settings.update(token_lifetime=1)
            running[tls, short_tokens] = Service(tmp_path_factory.mktemp("service"), **settings).start()
        return running[tls, short_tokens]

    yield service
    for one in running.values():
        one.stop()
