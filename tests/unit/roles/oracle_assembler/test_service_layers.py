# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who may import whom, in the service."""

from __future__ import annotations

import ast
import pathlib

import pytest
from doubles import FILES, ROOT

PACKAGE = FILES / "oracle_assembler"
LAYERS = ["__main__", "web", "uploads", "store", "_sealed"]
TO_ALL = {"problems", "__init__"}
BESIDE = {
    "config": set(),
    "logs": set(),
    "process": set(),
    "keys": {"store", "_sealed"},
    "tokens": set(),
    "attempts": set(),
    "problems": set(),
    "__init__": set(),
}
MAY = {
    "__main__": {"web", *BESIDE},
    "web": {"uploads", "tokens", "attempts", "process"},
    "uploads": {"store"},
    "store": {"_sealed"},
    "_sealed": set(),
    **BESIDE,
}
FOREIGN = {
    "fastapi": {"web"}, "starlette": {"web"}, "granian": {"web"}, "prometheus_client": {"web"}, "pydantic": {"web", "config"},
    "anyio": {"web", "uploads"}, "jwt": {"tokens"}, "Crypto": {"_sealed"},
}  # fmt: skip
SOURCES = sorted(PACKAGE.rglob("*.py"))


def layer_of(path: pathlib.Path) -> str:
    """A file's layer."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: pathlib.Path) -> set[tuple[int, str]]:
    """What a file imports when it runs: level of the import and first name."""
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found.update((0, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
            found.update((node.level, name) for name in names)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_layer_imports_only_the_next_to_the_right(path: pathlib.Path) -> None:
    layer, depth = layer_of(path), len(path.relative_to(PACKAGE).parts)
    for level, name in imported(path):
        if level == depth and (PACKAGE / name).exists() | (PACKAGE / f"{name}.py").exists():
            assert name in MAY[layer] | TO_ALL | {layer}, f"{path} imports {name}"
        if level == 0 and name in FOREIGN:
            assert layer in FOREIGN[name], f"{path} imports {name}"
        assert name not in ("ansible", "ansible_collections")


def test_the_format_is_the_one_copy_in_module_utils() -> None:
    links = sorted((PACKAGE / "_sealed").glob("*.py"))
    assert [link.name for link in links] == ["__init__.py", "cipher.py", "layout.py"]
    for link in links:
        assert link.resolve() == (ROOT / "plugins" / "module_utils" / "_sealed" / link.name).resolve()


def test_files_stay_small_enough_to_read() -> None:
    longest = {path.name: len(path.read_text("utf-8").splitlines()) for path in SOURCES if layer_of(path) != "_sealed"}
    assert {name: lines for name, lines in longest.items() if lines > 250} == {}
