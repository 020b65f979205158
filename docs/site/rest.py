"""The REST reference as a page, from the OpenAPI file that the service writes.

It reads what this one service writes and no more of OpenAPI: every body and answer is a schema with a name, or bytes.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

Schema = t.Mapping[str, t.Any]

HEAD = """\
# REST reference

What each call takes and answers, from the [OpenAPI file](openapi.json) of the service, which the tests hold it to. What the calls
mean together, and what they promise, is told in [the protocol](protocol.md).

"""
ORDER = ("access", "uploads", "files", "folders")
METHODS = ("post", "get", "head", "put", "patch", "delete")


def page(file: Path) -> str:
    """The whole page in Markdown."""
    described = json.loads(file.read_text())
    calls = [
        (operation["tags"][0], path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    calls.sort(key=lambda call: (ORDER.index(call[0]), call[1], METHODS.index(call[2])))
    lines, group = [HEAD], ""
    for tag, path, method, operation in calls:
        if tag != group:
            lines.append(f"## {tag.capitalize()}\n")
            group = tag
        lines += _call(method, path, operation)
    lines.append("## Schemas\n")
    for name, schema in described["components"]["schemas"].items():
        lines += _schema(name, schema)
    return "\n".join(lines)


def _call(method: str, path: str, operation: Schema) -> t.Iterator[str]:
    yield f"### `{method.upper()} {path}`\n"
    yield f"{_text(operation['description'])}\n"
    if "security" not in operation:
        yield "No token is needed.\n"
    rows = [
        (
            f"`{one['name']}`",
            f"{one['in']}{', required' if one['required'] else ''}",
            _type(one["schema"]),
            _text(one.get("description", "")),
        )
        for one in operation.get("parameters", [])
    ]
    if rows:
        yield from _table(("parameter", "in", "type", ""), rows)
    if "requestBody" in operation:
        yield f"Body: {_content(operation['requestBody'])}\n"
    answers = operation["responses"].items()
    yield from _table(("status", "when", "body"), [(f"`{status}`", _text(one["description"]), _content(one)) for status, one in answers])


def _schema(name: str, schema: Schema) -> t.Iterator[str]:
    yield f"(schema-{name.lower()})=\n### {name}\n"
    if "description" in schema:
        yield f"{_text(schema['description'])}\n"
    required = schema.get("required", [])
    rows = [
        (f"`{member}`", _type(one), "required" if member in required else "", _text(one.get("description", "")))
        for member, one in schema.get("properties", {}).items()
    ]
    yield from _table(("member", "type", "", ""), rows)


def _content(holder: Schema) -> str:
    """What a body is, by its media types."""
    return "<br>".join(f"`{media}` {_type(one.get('schema', {}))}".strip() for media, one in holder.get("content", {}).items())


def _type(schema: Schema) -> str:
    """A type in a few words, with a link where it has a name."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#schema-{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return f"[{', '.join(_type(one) for one in schema['prefixItems'])}]"
        return f"list of {_type(schema.get('items', {}))}"
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS.items() if key in schema]
    return ", ".join([f"{schema.get('type', '')}", *bounds])


_BOUNDS = {"minimum": "at least", "maximum": "at most", "minLength": "length at least", "maxLength": "length at most"}


def _table(head: t.Sequence[str], rows: t.Sequence[t.Sequence[str]]) -> t.Iterator[str]:
    """A table without the columns that nobody filled in."""
    filled = [place for place in range(len(head)) if any(row[place] for row in rows)]
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row[place].replace('|', '/') for place in filled)} |"
    yield ""


def _text(words: str) -> str:
    """Docstrings have code in double backticks."""
    return " ".join(words.replace("``", "`").split())
