# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who may import whom: the layers of the collection and of the service. A rule that nobody checks is a wish.

The checker takes files as text, so that it is tried on planted violations as well as on the real files.
"""

from __future__ import annotations

import ast
import functools
import sys
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UTILS = "plugins.module_utils"
COLLECTION = "ansible_collections.bigfile.oci."
SERVICE = "roles.oracle_assembler.files.oracle_assembler"

Files = dict[str, str]
"""Source by dotted name, such as ``plugins.module_utils._plan``; a package is its ``__init__``."""

FORMAT, CORE, EDGE, USE_CASE, OPTIONS, MODULE, PLUGIN = range(7)

LAYERS = {
    "_sealed.__init__": FORMAT,
    "_sealed.cipher": FORMAT,
    "_sealed.layout": FORMAT,
    "_sealed.memory": FORMAT,
    "_sealed.openssl": FORMAT,
    "_body": CORE,
    "_connection": CORE,
    "_digest": CORE,
    "_entry": CORE,
    "_errors": CORE,
    "_names": CORE,
    "_outcome": CORE,
    "_pace": CORE,
    "_plan": CORE,
    "_progress": CORE,
    "_retry": CORE,
    "_window": CORE,
    "_wish": CORE,
    "_file_upload": EDGE,
    "_http": EDGE,
    "_journal": EDGE,
    "_source": EDGE,
    "_watch": EDGE,
    "_pending": USE_CASE,
    "_resume": USE_CASE,
    "_transfer": USE_CASE,
    "_upload": USE_CASE,
    "_options": OPTIONS,
}

MAY_IMPORT = {
    FORMAT: {FORMAT},
    CORE: {FORMAT, CORE},
    EDGE: {FORMAT, CORE},
    USE_CASE: {FORMAT, CORE, USE_CASE},
    OPTIONS: {FORMAT, CORE, EDGE},
    MODULE: {FORMAT, CORE, EDGE, USE_CASE, OPTIONS},
    PLUGIN: {FORMAT, CORE},
}
MAY_NAME = {**MAY_IMPORT, USE_CASE: MAY_IMPORT[USE_CASE] | {EDGE}}
"""For annotations alone, under ``TYPE_CHECKING``: the use case gets the edges as arguments."""

ONE_EDGE_ON_ANOTHER = {("_file_upload", "_http")}

FOREIGN = {
    "_sealed.cipher": "Crypto",
    "_sealed.openssl": "cryptography",
    "_source": "filechunkio",
    "_journal": "pickledb",
    "_http": "requests",
}
"""The one foreign library of each file that has one. Ansible is that of the options, the modules and other plugins."""

ROOMS = {
    "__main__": {"config", "keys", "logs", "process", "web"},
    "web": {"uploads", "attempts", "process", "systemd", "tokens", "problems"},
    "uploads": {"store", "problems"},
    "store": {"_sealed", "problems"},
    "keys": {"_sealed", "store"},
    "_sealed": set(),
    "problems": set(),
    "config": set(),
    "logs": set(),
    "process": set(),
    "systemd": set(),
}
"""The service: each room only the next to the right, and what is shared. A file beside them may know ``problems``."""

ROOM_MAY_NAME = {"web": {"config", "keys"}, "uploads": {"config"}}

HOMES = {
    "Crypto": {"_sealed"},
    "anyio": {"uploads", "web"},
    "cryptography": {"_sealed"},
    "fastapi": {"web"},
    "httptools": {"web"},
    "jwt": {"tokens"},
    "prometheus_client": {"web"},
    "pydantic": {"config", "web"},
    "starlette": {"web"},
    "uvicorn": {"web"},
}
"""Where a foreign library of the service lives."""

VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}


class Import(t.NamedTuple):
    """What a file imports, as a dotted name; relative imports are resolved."""

    target: str
    runs: bool
    """Not only for annotations."""
    guarded: bool
    """In a ``try`` that lives without it."""
    line: int


def imports(name: str, source: str, files: t.Container[str]) -> t.Iterator[Import]:
    """All imports of a file, wherever in it they stand."""
    package = name.split(".")[:-1]

    def visit(node: ast.AST, runs: bool, guarded: bool) -> t.Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, runs, guarded, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            whole = ".".join(base + (node.module.split(".") if node.module else [])).removeprefix(COLLECTION)
            for alias in node.names:
                inner = f"{whole}.{alias.name}"
                named = inner in files or f"{inner}.__init__" in files
                yield Import(inner if named else whole, runs, guarded, node.lineno)
        elif isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING":
            for child in node.body:
                yield from visit(child, False, guarded)
            for child in node.orelse:
                yield from visit(child, runs, guarded)
        else:
            caught = isinstance(node, ast.Try) and any("ImportError" in ast.unparse(one.type or node) for one in node.handlers)
            for child in ast.iter_child_nodes(node):
                yield from visit(child, runs, guarded or caught)

    yield from visit(ast.parse(source), True, False)


def is_standard(target: str) -> bool:
    return target.partition(".")[0] in sys.stdlib_module_names


# The collection


def layer(name: str) -> int | None:
    if name.startswith(f"{UTILS}."):
        short = name.removeprefix(f"{UTILS}.")
        return LAYERS.get(short, LAYERS.get(f"{short}.__init__"))
    return MODULE if name.startswith("plugins.modules.") else PLUGIN


def wrong_in_plugins(files: Files) -> list[str]:
    """What breaks the layers of the collection, in words."""
    wrong = [f"{name}: belongs to no layer; add it to the table" for name in files if layer(name) is None]
    for name, source in files.items():
        own = layer(name)
        if own is not None:
            wrong += [f"{name}:{found.line}: {said}" for found in imports(name, source, files) for said in wrong_import(name, own, found)]
    return wrong


def wrong_import(name: str, own: int, found: Import) -> t.Iterator[str]:
    target = found.target
    if target.startswith(("roles", "oracle_assembler")):
        yield f"imports the service: {target}"
    elif target.startswith("plugins.modules"):
        yield f"imports a module: {target}"
    elif target.startswith(UTILS):
        other = layer(target)
        short = tuple(one.removeprefix(f"{UTILS}.") for one in (name, target))
        allowed = MAY_IMPORT if found.runs else MAY_NAME
        if other not in allowed[own] and short not in ONE_EDGE_ON_ANOTHER:
            yield f"imports {target}, which its layer may not"
    elif not is_standard(target):
        yield from wrong_library(name, own, found)


def wrong_library(name: str, own: int, found: Import) -> t.Iterator[str]:
    library = found.target.partition(".")[0]
    if own in (OPTIONS, MODULE, PLUGIN):
        if library != "ansible":
            yield f"imports {library}; here only ansible is at home"
    elif FOREIGN.get(name.removeprefix(f"{UTILS}.")) != library:
        yield f"imports {library}, which is not its one foreign library"
    elif not found.guarded:
        yield f"imports {library} without a guard"


# The service


def wrong_in_service(files: Files) -> list[str]:
    """What breaks the layers of the service, in words."""
    return [
        f"{name}:{found.line}: {said}"
        for name, source in files.items()
        for found in imports(name, source, files)
        for said in wrong_import_in_service(room(name), found)
    ]


def room(name: str) -> str:
    return name.removeprefix(f"{SERVICE}.").partition(".")[0]


def wrong_import_in_service(own: str, found: Import) -> t.Iterator[str]:
    target = found.target
    if target.startswith(("ansible", "plugins")):
        yield f"imports {target}, which is not on the host"
    elif target.startswith(f"{SERVICE}."):
        allowed = ROOMS.get(own, {"problems"}) | (set() if found.runs else ROOM_MAY_NAME.get(own, set()))
        if room(target) not in {own, "__init__"} | allowed:
            yield f"imports {room(target)}, which {own} may not"
    elif not is_standard(target) and target != SERVICE:
        library = target.partition(".")[0]
        if own not in HOMES.get(library, {own}):
            yield f"imports {library}, which is at home in {' and '.join(sorted(HOMES[library]))}"


# The real files


@functools.cache
def read(folder: str) -> Files:
    paths = sorted((ROOT / folder).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text("utf-8") for path in paths}


def test_the_collection_keeps_its_layers() -> None:
    assert wrong_in_plugins(read("plugins")) == []


def test_the_service_keeps_its_layers() -> None:
    assert wrong_in_service(read(SERVICE.replace(".", "/"))) == []


def test_every_file_in_the_table_is_there() -> None:
    assert {name for name in LAYERS if f"{UTILS}.{name}" not in read("plugins")} == set()


def test_the_service_has_the_format_as_links_to_the_one_copy() -> None:
    there = ROOT / SERVICE.replace(".", "/") / "_sealed"
    one_copy = ROOT / "plugins/module_utils/_sealed"
    assert {path.name for path in there.glob("*.py")} == {path.name for path in one_copy.glob("*.py")}
    assert not there.is_symlink()
    for path in there.glob("*.py"):
        assert path.is_symlink()
        assert path.resolve() == (one_copy / path.name).resolve()
        assert not path.readlink().is_absolute()


def test_the_one_copy_is_no_link() -> None:
    assert not [path for path in (ROOT / "plugins").rglob("*.py") if path.is_symlink()]


@pytest.mark.parametrize("folder", ["plugins", "roles", "playbooks", "tests"])
def test_no_file_is_named_after_nothing(folder: str) -> None:
    paths = (ROOT / folder).rglob("*")
    assert [str(path) for path in paths if path.stem.strip("_").removeprefix("test_") in VAGUE] == []


def test_private_utils_say_so() -> None:
    for name, source in read("plugins/module_utils").items():
        short = name.removeprefix(f"{UTILS}.")
        assert short.startswith("_")
        if not short.endswith("__init__"):
            assert "Private to the collection bigfile.oci." in (ast.get_docstring(ast.parse(source)) or ""), name


# The checker itself


def planted(name: str, source: str) -> list[str]:
    """The real collection with one more line in, or one more file."""
    files = read("plugins")
    return wrong_in_plugins({**files, name: source + "\n" + files.get(name, "").replace("from __future__ import annotations", "")})


PLANTED = [
    ("_sealed.layout", "from .._plan import cut", "imports plugins.module_utils._plan, which its layer may not"),
    ("_sealed.layout", "import Crypto", "imports Crypto, which is not its one foreign library"),
    ("_sealed.cipher", "from Crypto.Cipher import AES", "imports Crypto without a guard"),
    ("_plan", "import requests", "imports requests, which is not its one foreign library"),
    ("_plan", "from ansible.module_utils.basic import AnsibleModule", "imports ansible, which is not its one foreign library"),
    ("_plan", "from ._journal import Journal", "imports plugins.module_utils._journal, which its layer may not"),
    ("_plan", "from . import _upload", "imports plugins.module_utils._upload, which its layer may not"),
    ("_plan", "def late():\n    from . import _http", "imports plugins.module_utils._http, which its layer may not"),
    ("_wish", "import typing as t\nif t.TYPE_CHECKING:\n    from ._journal import Journal", "imports plugins.module_utils._journal"),
    ("_source", "import requests", "imports requests, which is not its one foreign library"),
    ("_source", "from ._journal import Journal", "imports plugins.module_utils._journal, which its layer may not"),
    ("_http", "from ._file_upload import FileUpload", "imports plugins.module_utils._file_upload, which its layer may not"),
    ("_journal", "import pickledb", "imports pickledb without a guard"),
    ("_upload", "from ._source import Source", "imports plugins.module_utils._source, which its layer may not"),
    ("_transfer", "from . import _options", "imports plugins.module_utils._options, which its layer may not"),
    ("_upload", f"from {COLLECTION}plugins.module_utils._http import Http", "imports plugins.module_utils._http"),
    ("_options", "import requests", "imports requests; here only ansible is at home"),
    ("_options", "from ._upload import Uploader", "imports plugins.module_utils._upload, which its layer may not"),
    ("_options", "from ..modules.oci_upload_folder import main", "imports a module: plugins.modules.oci_upload_folder"),
    ("_plan", "from roles.oracle_assembler import anything", "imports the service: roles.oracle_assembler"),
    ("_plan", "import oracle_assembler.store", "imports the service: oracle_assembler.store"),
    ("_anything_new", "", "belongs to no layer"),
]


@pytest.mark.parametrize(("name", "source", "said"), PLANTED, ids=[f"{name}: {source[:50]}" for name, source, said in PLANTED])
def test_a_planted_violation_is_found(name: str, source: str, said: str) -> None:
    (found,) = planted(f"{UTILS}.{name}", source)
    assert found.startswith(f"{UTILS}.{name}:")
    assert said in found


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("oci_upload_folder", "from .oci_chunked_upload import main", "imports a module"),
        ("oci_upload_folder", "import requests", "here only ansible is at home"),
        ("oci_upload_folder", "from ..module_utils._unknown import x", "which its layer may not"),
    ],
)
def test_a_planted_violation_in_a_module_is_found(name: str, source: str, said: str) -> None:
    assert [found for found in planted(f"plugins.modules.{name}", source) if said in found]


@pytest.mark.parametrize(
    "source",
    [
        "import os, json.decoder",
        "from ._errors import UploadError",
        "from ._sealed import layout",
        "import typing as t\nif t.TYPE_CHECKING:\n    from ._journal import Journal",
    ],
)
def test_what_is_allowed_is_not_found(source: str) -> None:
    assert planted(f"{UTILS}._upload", source) == []


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("store.tree", "from ..uploads import files", "imports uploads, which store may not"),
        ("store.tree", "from ..web.app import create_app", "imports web, which store may not"),
        ("store.tree", "import fastapi", "imports fastapi, which is at home in web"),
        ("uploads.files", "from ..web import app", "imports web, which uploads may not"),
        ("uploads.files", "from .._sealed.cipher import SCHEME", "imports _sealed, which uploads may not"),
        ("uploads.files", "from ..config import Config", "imports config, which uploads may not"),
        ("uploads.files", "from starlette.requests import Request", "imports starlette, which is at home in web"),
        ("web.files", "from ..store.tree import Tree", "imports store, which web may not"),
        ("web.files", "from .. import keys", "imports keys, which web may not"),
        ("web.files", "from Crypto.Cipher import AES", "imports Crypto, which is at home in _sealed"),
        ("__main__", "from .store.tree import Tree", "imports store, which __main__ may not"),
        ("problems", "from .config import Config", "imports config, which problems may not"),
        ("anything_new", "from .web import app", "imports web, which anything_new may not"),
        ("store.tree", "import ansible.module_utils.basic", "which is not on the host"),
    ],
)
def test_a_planted_violation_in_the_service_is_found(name: str, source: str, said: str) -> None:
    files = read(SERVICE.replace(".", "/"))
    full = f"{SERVICE}.{name}"
    found = wrong_in_service({**files, full: source + "\n" + files.get(full, "").replace("from __future__ import annotations", "")})
    assert [one for one in found if one.startswith(f"{full}:1:") and said in one]
