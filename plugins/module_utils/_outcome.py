# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What came of a run, for the module's result and its diff.

Private to the collection bigfile.oci.
"""

from __future__ import annotations

import typing as t

from ._plan import Plan, Ranges, bytes_in, numbers

if t.TYPE_CHECKING:
    from ._sealed.layout import Part

Facts = dict[str, t.Any]
"""``path, size, sha256, mode`` of a published file, as the service tells them."""


class Outcome(t.NamedTuple):
    """The module returns these, see its RETURN; ``before`` and ``after`` are for the diff."""

    changed: bool
    path: str
    size: int
    sha256: str | None
    encrypted: bool | None = None
    resumed: bool = False
    upload_id: str | None = None
    part_size: int | None = None
    parts: int = 0
    parts_sent: int = 0
    parts_present: int = 0
    bytes_sent: int = 0
    before: str = ""
    after: str = ""


def delivered(
    after: Facts,
    plan: Plan,
    *,
    there: Facts | None,
    resumed: Facts | None,
    sent: t.Sequence[Part],
    upload_id: str | None,
) -> Outcome:
    """A file that was sent, or would be in check mode.

    :param after: the receipt, or what it would say
    :param there: what was published before
    :param resumed: the upload as the service knew it before this run
    :param sent: the parts that this run sends
    """
    present = resumed["received"] if resumed else []
    return Outcome(
        True,
        after["path"],
        after["size"],
        after["sha256"],
        encrypted=plan.encrypted,
        resumed=resumed is not None,
        upload_id=upload_id,
        part_size=plan.part_size,
        parts=plan.part_count,
        parts_sent=len(sent),
        parts_present=len(list(numbers(present))),
        bytes_sent=sum(part.stream_size for part in sent),
        before=described(there) + progress(plan, present),
        after=described(after),
    )


def described(there: Facts | None) -> str:
    """A published file in lines."""
    if there is None:
        return "absent\n"
    lines = [
        f"size: {there['size']}",
        f"sha256: {there['sha256'] or 'not known before the file is read'}",
    ]
    if there.get("mode"):
        lines.append(f"mode: {there['mode']}")
    return "\n".join(lines) + "\n"


def progress(plan: Plan, received: Ranges) -> str:
    """What the service has of an upload, in a line; empty when that is nothing."""
    count = len(list(numbers(received)))
    return f"{count} of {plan.part_count} parts, {human(bytes_in(plan, received))}\n" if count else ""


def human(size: float) -> str:
    """Bytes for people: 4.6 GiB."""
    if size < 1024:
        return f"{size:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"


__all__ = ["Facts", "Outcome", "delivered", "described", "human", "progress"]
