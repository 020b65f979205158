"""What we claim, and whether the measurement bears it out."""

from __future__ import annotations

import typing as t


class Claim(t.NamedTuple):
    """One claim, its target and what was measured, all in ``unit`` ("x" for a ratio). Exactly one of the two bounds is given."""

    what: str
    measured: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def target(self) -> str:
        """The bound in words."""
        if self.at_least is not None:
            return f"at least {amount(self.at_least, self.unit)}"
        if self.at_most is not None:
            return f"at most {amount(self.at_most, self.unit)}"
        raise ValueError(f"the claim has no bound: {self.what}")

    @property
    def met(self) -> bool:
        """Whether the measurement is on the right side of the bound; the bound itself is."""
        if self.at_least is not None:
            return self.measured >= self.at_least
        return self.at_most is not None and self.measured <= self.at_most

    def facts(self) -> dict[str, t.Any]:
        """The claim for JSON."""
        return {**self._asdict(), "target": self.target, "met": self.met}


def amount(value: float, unit: str) -> str:
    """A figure for a person: three digits that count, and the unit."""
    return f"{value:,.0f} {unit}" if abs(value) >= 100 else f"{value:.3g} {unit}"


def table(claims: t.Iterable[Claim], *, judged: bool = True) -> str:
    """The claims as a table in Markdown; not ``judged`` when the sizes were too small to tell."""
    verdicts = {True: "yes", False: "**no**"} if judged else {}
    rows = [f"| {one.what} | {one.target} | {amount(one.measured, one.unit)} | {verdicts.get(one.met, 'not judged')} |" for one in claims]
    return "\n".join(["| claim | target | measured | met |", "| --- | --- | ---: | --- |", *rows])


__all__ = ["Claim", "amount", "table"]
