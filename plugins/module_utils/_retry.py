# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""When to try again and how long to wait.

Private to the collection bigfile.oci. Full jitter after "Exponential Backoff And Jitter" (Marc Brooker, 2015): many clients of
one service that came back do not all knock at once. What the service asks for (Retry-After, RFC 9110) is the least, within reason.
"""

from __future__ import annotations

import typing as t

from ._errors import UploadError

T = t.TypeVar("T")


class Policy(t.NamedTuple):
    """``retries`` after the first try; waits in seconds."""

    retries: int = 10
    base: float = 0.5
    cap: float = 30.0
    patience: float = 300.0
    """What is asked for above this is not waited for: an hour in a header must not hold a run that has no deadline."""

    def pause(self, attempt: int, asked: float | None, random: float) -> float:
        """Seconds to wait after the failed try number ``attempt`` (from 0); ``random`` is in [0, 1)."""
        jitter = random * min(self.cap, self.base * 2.0 ** min(attempt, 30))
        return max(jitter, min(asked or 0.0, self.patience))


def persist(
    action: t.Callable[[], T],
    *,
    policy: Policy,
    wait: t.Callable[[float], None],
    random: t.Callable[[], float],
    noted: t.Callable[[UploadError], None],
) -> T:
    """Do ``action``, again after each transient error, ``policy.retries`` times at most.

    :raises UploadError: the first lasting error, or the last transient one.
    """
    attempt = 0
    while True:
        try:
            return action()
        except UploadError as error:
            if not error.transient or attempt >= policy.retries:
                raise
            noted(error)
            pause = policy.pause(attempt, getattr(error, "retry_after", None), random())
        wait(pause)
        attempt += 1


__all__ = ["Policy", "persist"]
