"""The variables of the roles: argument specs, defaults, tasks and documentation speak of the same ones."""

from __future__ import annotations

import functools
import re
import typing as t
from pathlib import Path

import pytest
import yaml

from oracle_assembler.web.observing import Observer

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
NAME = re.compile(rf"(?<![\w./-])(?:{'|'.join(ROLES)})_\w+")
DOCUMENTATION = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("roles/*/README.md"),
    *ROOT.glob("roles/*/meta/*.yml"),
    *ROOT.glob("playbooks/**/*.yml"),
    *ROOT.glob("plugins/*/*.py"),
    *ROOT.glob("changelogs/fragments/*.yml"),
]

Options = dict[str, dict[str, t.Any]]


def read(role: str, path: str) -> t.Any:
    return yaml.safe_load((ROOT / "roles" / role / path).read_text())


@functools.cache
def options(role: str) -> Options:
    """Of all entry points; where two have an option, it is the same one."""
    merged: Options = {}
    for entry in read(role, "meta/argument_specs.yml")["argument_specs"].values():
        for name, option in entry["options"].items():
            same = {key: value for key, value in option.items() if key != "description"}
            assert same == {key: value for key, value in merged.get(name, option).items() if key != "description"}
            merged[name] = option
    return merged


def tasks(role: str) -> t.Iterator[dict[str, t.Any]]:
    def walk(found: list[dict[str, t.Any]]) -> t.Iterator[dict[str, t.Any]]:
        for task in found:
            yield task
            for key in ("block", "rescue", "always"):
                yield from walk(task.get(key, []))

    for path in sorted((ROOT / "roles" / role / "tasks").iterdir()):
        yield from walk(yaml.safe_load(path.read_text()))


@functools.cache
def facts(role: str) -> set[str]:
    """What the role sets for the tasks after it."""
    return {name for task in tasks(role) for name in task.get("ansible.builtin.set_fact", {}) if not name.startswith("__")}


def used(role: str) -> set[str]:
    texts = [
        path.read_text() for folder in ("tasks", "vars", "templates", "handlers") for path in (ROOT / "roles" / role).glob(f"{folder}/*")
    ]
    return set(NAME.findall("\n".join(texts)))


def metrics() -> set[str]:
    """Named as the variables are, and no variables."""
    families = Observer("/").registry.collect()
    return {f"{family.name}_total" if family.type == "counter" else family.name for family in families}


def undocumented(found: Options, above: str = "") -> t.Iterator[str]:
    for name, option in found.items():
        if not option.get("description") or not all(str(line).strip() for line in option["description"]):
            yield above + name
        yield from undocumented(option.get("options", {}), f"{above}{name}.")


@pytest.mark.parametrize("role", ROLES)
def test_the_defaults_are_those_that_the_argument_specs_name(role: str) -> None:
    named = {name: option["default"] for name, option in options(role).items() if "default" in option}
    defaults = read(role, "defaults/main.yml")
    assert named == defaults
    assert {name: type(value) for name, value in named.items()} == {name: type(value) for name, value in defaults.items()}


@pytest.mark.parametrize("role", ROLES)
def test_what_is_required_has_no_default(role: str) -> None:
    assert [name for name, option in options(role).items() if option.get("required") and "default" in option] == []


@pytest.mark.parametrize("role", ROLES)
def test_every_option_has_a_description_and_the_prefix_of_its_role(role: str) -> None:
    assert list(undocumented(options(role))) == []
    assert [name for name in options(role) if not name.startswith(f"{role}_")] == []


@pytest.mark.parametrize("role", ROLES)
def test_the_role_uses_the_options_that_it_has_and_no_others(role: str) -> None:
    assert {name for name in used(role) if name.startswith(f"{role}_")} - facts(role) == set(options(role))


@pytest.mark.parametrize(
    "path", [path for path in DOCUMENTATION if NAME.search(path.read_text())], ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_documentation_names_only_what_exists(path: Path) -> None:
    known = {name for role in ROLES for name in set(options(role)) | facts(role)} | metrics()
    assert set(NAME.findall(path.read_text())) - known == set()


@pytest.mark.parametrize("role", ROLES)
def test_what_one_role_takes_from_another_exists(role: str) -> None:
    known = {name for other in ROLES for name in set(options(other)) | facts(other)}
    assert used(role) - known == set()


def test_the_roles_and_their_documentation_were_found() -> None:
    assert {"oracle_assembler", "python_venv", "upload_client"} <= set(ROLES)
    assert facts("oracle_assembler") == {"oracle_assembler_url", "oracle_assembler_public_key", "oracle_assembler_certificate"}
    assert len(DOCUMENTATION) > 20
    assert "oracle_assembler_uploads_total" in metrics()
