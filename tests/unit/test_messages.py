# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Every message with which a task may fail, read off the code: it names the thing, says what to do, and is one sentence.

What was done until then is said in one place, see :meth:`Uploader._explained`. The service's own words come after "says:".
"""

from __future__ import annotations

import ast
import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils import _errors, _transfer

PLUGINS = Path(__file__).parents[2] / "plugins"
FAMILY = set(_errors.__all__)

ADVICE = re.compile(
    r"\b(give|use|[Rr]un (again|the task again)|look|deploy it again|write|wait for|take its|send with|insist with|pin|loop over)\b"
    r"|may answer there|something else than the service answers|is the service running|the log of the service says more"
)
"""What to do, or where to look."""

TAKES = re.compile(r"\b(is|takes|are|has|have|holds)\b.*\b(not|takes|at least|such as|bytes|no certificate|unencrypted)\b")
"""For a wrong option it is enough to say what the option takes."""

SAYS_ENOUGH = {
    "{base} says: {members.get('detail') or members.get('title') or name} (HTTP {answer.status_code}, request {members.get('request_id')})": (
        "the service says what to do, see docs/protocol.md"
    ),
    "stitching failed: {problem.get('detail')}": "the service says what to do; what is safe is said after it",
    "ended by {signal.Signals(number).name}": "whoever ended it knows; what is safe is said after it",
    "the run was ended": "the other threads of a run that ended for a reason that is told",
    "the deadline of {deadline} seconds is reached": "the user's own wish; what is safe is said after it",
}


class Message(t.NamedTuple):
    """Where an error is made and what it says, with what is filled in between braces."""

    place: str
    kind: str
    text: str


def shown(part: ast.expr) -> str:
    """What is filled in, between braces."""
    return f"{{{ast.unparse(part.value) if isinstance(part, ast.FormattedValue) else '?'}}}"


def written(node: ast.expr, known: dict[str, list[str]]) -> list[str]:
    """The texts that an expression may be; names are looked up among those of the file."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return ["".join(ast.literal_eval(part) if isinstance(part, ast.Constant) else shown(part) for part in node.values)]
    return known.get(ast.unparse(node), [])


def messages(source: str, place: str) -> t.Iterator[Message]:
    """All errors of our family that a file makes."""
    tree = ast.parse(source)
    known: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            known.setdefault(ast.unparse(node.targets[0]), []).extend(written(node.value, {}))
    known.setdefault("MISMATCH", [_transfer.MISMATCH])
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FAMILY:
            texts = written(node.args[0], known) if node.args else []
            for text in texts or ["?"]:
                yield Message(f"{place}:{node.lineno}", node.func.id, text)


def wrong(message: Message) -> list[str]:
    """What a reader would miss."""
    found = []
    if message.text == "?":
        found.append("cannot be read off the code")
    if "\n" in message.text or message.text.endswith("."):
        found.append("is no sentence that another one can follow")
    if not message.text[0].islower() and not message.text.startswith("{"):
        found.append("begins with a capital")
    says = ADVICE.search(message.text) or (message.kind == "OptionError" and TAKES.search(message.text))
    if not says and message.text not in SAYS_ENOUGH:
        found.append("does not say what to do")
    return found


ALL = [message for path in sorted(PLUGINS.rglob("*.py")) for message in messages(path.read_text("utf-8"), path.name)]


@pytest.mark.parametrize("message", ALL, ids=[f"{message.place} {message.text[:60]}" for message in ALL])
def test_a_message_says_what_happened_and_what_to_do(message: Message) -> None:
    assert wrong(message) == [], message.text


def test_all_kinds_of_error_are_among_them_and_no_exception_is_out_of_date() -> None:
    assert {message.kind for message in ALL} == FAMILY
    assert set(SAYS_ENOUGH) <= {message.text for message in ALL}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise SourceError('it broke')", ["does not say what to do"]),
        ("raise SourceError(f'{path} broke; give another')", []),
        ("raise OptionError('threads is a number, not 0')", []),
        ("raise OptionError('wrong')", ["does not say what to do"]),
        ("raise Busy('Wait for it.')", ["is no sentence that another one can follow", "begins with a capital", "does not say what to do"]),
        ("raise Busy(told)", ["cannot be read off the code", "does not say what to do"]),
        ("told = 'look there'\nraise Busy(told)", []),
    ],
)
def test_the_review_finds_what_is_planted(source: str, said: list[str]) -> None:
    (message,) = messages(source, "planted")
    found = wrong(message)
    assert [one for one in found if one != "begins with a capital" or "Wait" in source] == said
