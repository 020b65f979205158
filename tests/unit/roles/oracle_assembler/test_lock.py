"""The lock file of the service: it is made from requirements.txt, and names each file by its hash."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FILES = Path(__file__).resolve().parents[4] / "roles" / "oracle_assembler" / "files"
LOCK = (FILES / "requirements.lock").read_text()
PINS = re.findall(r"^([\w.-]+)==([^\s;]+)(?: ; ([^\\\n]*))?", LOCK, re.MULTILINE)
REQUIREMENTS = [Requirement(line) for line in (FILES / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_it_pins_one_version_that_the_requirement_allows(requirement: Requirement, python: str) -> None:
    host = {"python_version": python, "python_full_version": f"{python}.0", "implementation_name": "cpython"}
    name = canonicalize_name(requirement.name)
    pinned = [version for found, version, marker in PINS if found == name and (not marker or Marker(marker).evaluate({**host}))]
    assert len(pinned) == 1
    assert requirement.specifier.contains(pinned[0])


def test_every_pin_has_hashes() -> None:
    assert PINS
    assert all("--hash=sha256:" in entry for entry in re.split(r"^(?=\S)", LOCK, flags=re.MULTILINE) if "==" in entry)


def test_it_has_the_pip_that_an_offline_install_runs() -> None:
    assert "pip" in {name for name, _version, _marker in PINS}
