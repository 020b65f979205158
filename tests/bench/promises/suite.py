"""All promises, one after the other."""

from __future__ import annotations

import functools
import typing as t
from pathlib import Path

from . import Findings, journal, link, memory, unchanged
from .zeros import Zeros


class Promise(t.Protocol):
    """Measures one promise, with small sizes if it is only to be seen whether it works."""

    def __call__(self, *, smoke: bool) -> Findings:
        """Claims and figures."""


def promises(folder: Path) -> dict[str, Promise]:
    """All of them by name; what they make is below ``folder``, and what one has uploaded serves the others."""
    zeros = Zeros(folder / "zeros")
    return {
        "link": functools.partial(link.findings, folder / "link"),
        "memory": functools.partial(memory.findings, zeros),
        "journal": functools.partial(journal.findings, zeros),
        "unchanged": functools.partial(unchanged.findings, zeros),
    }
