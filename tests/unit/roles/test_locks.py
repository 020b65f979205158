"""The lock files of the roles: made from requirements.txt, they name each file by its hash."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
REQUIREMENTS = {
    "oracle_assembler": ROOT / "roles/oracle_assembler/files/requirements.txt",
    "upload_client": ROOT / "requirements.txt",
}


class Pin(t.NamedTuple):
    name: str
    version: str
    marker: str


def requirements(role: str) -> list[Requirement]:
    return [Requirement(line) for line in REQUIREMENTS[role].read_text().splitlines() if line and not line.startswith("#")]


def lock(role: str, name: str) -> str:
    path = ROOT / "roles" / role / "files" / name
    return path.read_text() if path.exists() else ""


def pins(role: str, *names: str) -> list[Pin]:
    text = "".join(lock(role, name) for name in names)
    return [Pin(*found) for found in re.findall(r"^([\w.-]+)==([^\s;]+)(?: ; ([^\\\n]*))?", text, re.MULTILINE)]


CASES = [(role, requirement) for role in REQUIREMENTS for requirement in requirements(role)]


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize(("role", "requirement"), CASES, ids=str)
def test_one_version_is_pinned_that_the_requirement_allows(role: str, requirement: Requirement, python: str) -> None:
    host = {"python_version": python, "python_full_version": f"{python}.0", "implementation_name": "cpython"}
    name = canonicalize_name(requirement.name)
    found = [pin for pin in pins(role, "requirements.lock", "sdists.lock") if pin.name == name]
    (pin,) = [pin for pin in found if not pin.marker or Marker(pin.marker).evaluate({**host})]
    assert requirement.specifier.contains(pin.version)


@pytest.mark.parametrize("role", REQUIREMENTS)
def test_every_pin_has_hashes(role: str) -> None:
    assert pins(role, "requirements.lock")
    entries = re.split(r"^(?=\S)", lock(role, "requirements.lock") + lock(role, "sdists.lock"), flags=re.MULTILINE)
    assert all("--hash=sha256:" in entry for entry in entries if "==" in entry)


@pytest.mark.parametrize("role", REQUIREMENTS)
def test_the_pip_that_an_offline_install_runs_is_pinned(role: str) -> None:
    assert "pip" in {pin.name for pin in pins(role, "requirements.lock")}


@pytest.mark.parametrize("role", REQUIREMENTS)
def test_what_is_built_from_source_is_pinned_once_and_so_is_what_builds_it(role: str) -> None:
    wheels, sdists = ({pin.name for pin in pins(role, name)} for name in ("requirements.lock", "sdists.lock"))
    assert not wheels & sdists
    assert not sdists or "setuptools" in wheels
