# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What can stop an upload. Each error says whether waiting helps; the text names the thing and what to do.

Private to the collection bigfile.oci.
"""

from __future__ import annotations

import typing as t


class UploadError(Exception):
    """Anything that stops an upload; ``transient`` says whether trying again can help.

    :param facts: what the module returns beside the message
    """

    transient = False

    def __init__(self, message: str, **facts: t.Any) -> None:
        super().__init__(message)
        self.facts = facts


class OptionError(UploadError):
    """An option, or two together, that cannot be meant."""


class SourceError(UploadError):
    """The local file cannot be read as one."""


class SourceChanged(SourceError):
    """The local file is not the one with which this upload began."""


class JournalError(UploadError):
    """The journal cannot be used."""


class Busy(UploadError):
    """Another run works on the same upload right now."""


class Interrupted(UploadError):
    """The run was told to end."""


class DeadlineReached(UploadError):
    """The time that the user gave is over."""


class Untrusted(UploadError):
    """The service cannot be told from somebody else, or the way to it is open to all."""


class Unreachable(UploadError):
    """No answer: no route, no name, a connection that broke or stood still."""

    transient = True


class Damaged(UploadError):
    """What the service holds is not what was sent; sending it again can mend it."""

    transient = True


class Refused(UploadError):
    """The service answered with a problem (RFC 9457), or with something that is not from it.

    :param status: HTTP status
    :param problem: the name of the problem in docs/protocol.md, or an empty string
    :param members: the members of the problem document
    :param retry_after: seconds that the service asks to wait, or None
    :param by_service: whether it was the service that answered, and not something on the way to it
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        problem: str = "",
        transient: bool = False,
        retry_after: float | None = None,
        members: dict[str, t.Any] | None = None,
        by_service: bool = False,
    ) -> None:
        request_id = {"request_id": members["request_id"]} if members and "request_id" in members else {}
        super().__init__(message, status=status, problem=problem, **request_id)
        self.status = status
        self.problem = problem
        self.transient = transient
        self.retry_after = retry_after
        self.members = members or {}
        self.by_service = by_service

    @property
    def is_absence(self) -> bool:
        """Whether the service says that there is no such thing. A proxy whose service is away says 404 too, and that means nothing."""
        return self.status == 404 and self.by_service


__all__ = [
    "Busy",
    "Damaged",
    "DeadlineReached",
    "Interrupted",
    "JournalError",
    "OptionError",
    "Refused",
    "SourceChanged",
    "SourceError",
    "Unreachable",
    "Untrusted",
    "UploadError",
]
