"""The least time that a sealed upload can take on the machine that was measured."""

from __future__ import annotations

import typing as t

from .contest import Results, figure
from .contestants.limits import LOOPBACK, labour_name, labour_size
from .load import Load


class Costs(t.NamedTuple):
    """CPU seconds of what cannot be saved, for all bytes of a load."""

    sealing: float
    """Sealing on one side and opening on the other, by the library that our format takes here."""
    sha256: float
    """Of one side, by hashlib."""
    transport: float
    """Of both sides: from the source through loopback TCP into a file."""


def floor(costs: Costs, cores: int) -> float:
    """Seconds: the CPU time of sealing and opening every byte, hashing it on both sides and bringing it from file to file, on all cores at once.

    Nothing is in it for HTTP, for Python between the calls, for threads that wait for each other, or for the disk.
    """
    return (costs.sealing + 2 * costs.sha256 + costs.transport) / cores


def costs(results: Results, load: Load) -> Costs | None:
    """What was measured with ``load``, by medians; None when a limit was left out."""
    labours = [labour_name("seal and open", "ours"), labour_name("sha256", "hashlib")]
    if not all(name in results and results[name].samples for name in [*labours, LOOPBACK]):
        return None
    share = load.bytes / labour_size(load)
    sealing, sha256 = (figure(results[name], "client_cpu").median * share for name in labours)
    return Costs(sealing, sha256, figure(results[LOOPBACK], "client_cpu").median + figure(results[LOOPBACK], "server_cpu").median)
