"""The bench: all contestants, several rounds, then tables, a picture and our claims.

    tests/gates/bench [--smoke] [--rounds N] [--size SIZE] [--only PATTERN] [--seed N]

A full run writes docs/performance.md, .json and .svg anew. Any other, with options that leave something out, writes the same below .build/bench.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import typing as t
import warnings
from dataclasses import replace
from pathlib import Path

from . import claims, contest, contestants, floor, machine, picture, report, targets
from .contest import Contest
from .load import KIB, MIB, Load, many, of_size
from .promises import Findings
from .promises.suite import promises

ROUNDS = 5
FEW = 20
"""How many of many files Ansible is given: each costs it a good part of a second."""


def say(text: str) -> None:
    """Show progress; stdout is for the figures."""
    print(text, file=sys.stderr, flush=True)


def size_in_bytes(text: str) -> int:
    """Bytes out of ``2G``, ``256M`` or ``64K``."""
    found = re.fullmatch(r"(\d+)([KMG])", text)
    if found is None:
        raise argparse.ArgumentTypeError("a size is a number with K, M or G")
    return int(found[1]) << {"K": 10, "M": 20, "G": 30}[found[2]]


def pattern(text: str) -> re.Pattern[str]:
    """A regular expression, whatever the case."""
    return re.compile(text, re.IGNORECASE)


def asked() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="tests/gates/bench")
    parser.add_argument("--room", type=Path, required=True, help="for all that is made")
    parser.add_argument("--docs", type=Path, required=True, help="where performance.md is")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--size", type=size_in_bytes, help="one file of this size, in place of all loads")
    parser.add_argument(
        "--only", type=pattern, default="", metavar="PATTERN", help="contestants with this in their names: a regular expression"
    )
    parser.add_argument("--load", type=pattern, default="", metavar="PATTERN", help="loads with this in their names, such as 'files of'")
    parser.add_argument("--seed", type=int, default=1, help="of the order in each round")
    parser.add_argument("--smoke", action="store_true", help="one round with little: whether it works, not how fast it is")
    return parser.parse_args()


def loads(options: argparse.Namespace) -> list[Load]:
    """What is sent."""
    room = options.room
    if options.size:
        found = [of_size(options.size, room)]
    elif options.smoke:
        found = [of_size(32 * MIB, room), many(20, 64 * KIB, room)]
    else:
        found = [of_size(2048 * MIB, room), of_size(256 * MIB, room), many(1000, 64 * KIB, room)]
    return [load.make() for load in found if options.load.search(load.name)]


def held(options: argparse.Namespace, sent: t.Sequence[Load]) -> Contest:
    """All rounds of the contest."""
    with contestants.everyone(options.room, options.room / "tus", few=2 if options.smoke else FEW) as everyone:
        entered = [contestant for contestant in everyone if options.only.search(contestant.name)]
        if options.smoke:
            # Ansible takes two seconds each time, and had its turn with one file.
            entered = [replace(one, many=one.many and one.group != "ansible") for one in entered]
        held = Contest(entered, sent, seed=options.seed, say=say)
        for number in range(1, options.rounds + 1):
            held.round(number)
            # A run takes its time; what was measured is not to be lost with what comes after it.
            (options.room / "samples.json").write_text(json.dumps(contest.facts(held.results)))
    return held


def kept(options: argparse.Namespace) -> dict[str, Findings]:
    """The promises that are not about speed beside others, by name."""
    found = {}
    for name, promise in promises(options.room / "promises").items():
        say(f"promise  {name}")
        found[name] = promise(smoke=options.smoke)
    return found


def write(options: argparse.Namespace, held: Contest, promised: dict[str, Findings], *, to: t.Sequence[Path]) -> list[claims.Claim]:
    """Write figures, tables and picture to these folders, and print the tables; what all of it says about our claims."""
    costs = {load.name: floor.costs(held.results[load.name], load) for load in held.loads}
    floors = {name: floor.floor(found, machine.cores()) for name, found in costs.items() if found}
    claimed = targets.claims(held.results, held.loads, floors)
    claimed += [claim for findings in promised.values() for claim in findings.claims]
    described = machine.described() | {"rounds": f"{options.rounds}, seed {options.seed}"}
    written = {
        "machine": described,
        "claims": [claim.facts() for claim in claimed],
        "floors": floors,
        "loads": contest.facts(held.results),
        "promises": {name: findings.figures for name, findings in promised.items()},
    }
    generated = report.sections(held.results, held.loads, floors=floors, machine=described)
    generated["claims"] = claims.table(claimed, judged=not options.smoke)
    document = report.fill((options.docs / "performance.md").read_text(), generated)
    largest = max(held.loads, key=lambda load: load.size)
    drawn = picture.draw(
        picture.bars(held.results[largest.name], largest), f"{largest.name} over loopback, MB/s: median, slowest and fastest run"
    )
    for folder in to:
        (folder / "performance.json").write_text(json.dumps(written, indent=1) + "\n")
        (folder / "performance.md").write_text(document)
        (folder / "performance.svg").write_text(drawn)
    print("\n\n".join(generated.values()))
    return claimed


def end(number: int, _frame: object) -> t.NoReturn:
    """End by the way that ends all servers; and only once, as whoever runs us may tell us twice."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def main() -> int:
    """Run the bench; 1 when something failed or is missing, or when a claim does not hold in a full run."""
    warnings.filterwarnings("ignore", message="Unverified HTTPS request")
    signal.signal(signal.SIGTERM, end)
    options = asked()
    options.rounds = 1 if options.smoke else options.rounds
    absent = contestants.missing(options.room / "tus")
    if absent:
        say(f"Not on this machine: {', '.join(absent)}. Who needs them is left out; `make bench` installs them.")
    everything = not (options.size or options.only.pattern or options.load.pattern)
    full = everything and not (absent or options.smoke) and options.rounds >= ROUNDS
    contest_held = held(options, loads(options))
    promised = kept(options) if everything else {}
    claimed = write(options, contest_held, promised, to=[options.room, *([options.docs] if full else [])])
    failures = list(contest_held.failures)
    if everything and not absent and len(claimed) < targets.COUNT + sum(len(found.claims) for found in promised.values()):
        failures.append("figures are missing, so not every claim could be looked at")
    if absent and os.environ.get("CI") == "true":
        failures.append(f"in CI nobody is to be left out: {', '.join(absent)}")
    if full:
        failures += [f"not met: {claim.what}" for claim in claimed if not claim.met]
    for failure in failures:
        say(f"FAILED: {failure}")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
