# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bring an upload to its end: send what the service misses, have it stitched, again where parts were damaged.

Private to the collection bigfile.oci. Knows nothing of what stood at the destination before, nor of the journal.
"""

from __future__ import annotations

import functools
import typing as t

from ._body import PartBody
from ._errors import Damaged, Refused, SourceChanged
from ._plan import Ranges, missing
from ._progress import Progress
from ._window import work_through

if t.TYPE_CHECKING:
    from ._body import Reader
    from ._entry import Session
    from ._file_upload import FileUpload
    from ._pace import RateLimit, Run
    from ._sealed.layout import Part
    from ._source import Source

ROUNDS = 8
"""How often a stitching is asked for: parts may turn out damaged, the service may die in the middle of it."""

PAUSE_MOST = 15.0
"""Seconds between two rounds, at most; the first follows at once."""

POLL_FIRST, POLL_MOST = 0.02, 0.2
"""Seconds between two looks at a stitching; the service itself waits with its answer until the end, or for a second."""

MISMATCH = (
    "what arrived is not what its SHA-256 names: the source changed while it was read; nothing was published. "
    "Run again when nobody writes to it, which begins anew"
)

Upload = dict[str, t.Any]
"""An upload as the service tells of it, see docs/protocol.md."""


class Transfer:
    """Sends one upload.

    :param persist: tries an action again while its errors are transient, see :mod:`_retry`
    :param acknowledged: called with each part that the service has, by one thread
    :param reader: gives the bytes of parts, in place of the source itself
    """

    def __init__(
        self,
        session: Session,
        *,
        source: Source,
        service: FileUpload,
        run: Run,
        persist: t.Callable[[t.Callable[[], t.Any]], t.Any],
        acknowledged: t.Callable[[Part], None],
        reader: Reader | None = None,
        rate_limit: RateLimit | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._session = session
        self._source = source
        self._reader = reader or source
        self._service = service
        self._run = run
        self._persist = persist
        self._acknowledged = acknowledged
        self._rate_limit = rate_limit
        self._progress = progress or Progress()

    def checked_body(self, part: Part) -> PartBody:
        """The bytes of a part, to be sent. Changed bytes must never be sealed under the old key, so the source is looked at first.

        :raises SourceChanged: when it is not the file with which the upload began.
        """
        self._source.check()
        self._progress.begun(part)
        return PartBody(part, stream=self._session.stream, reader=self._reader, step=functools.partial(self._step, part))

    def _step(self, part: Part, count: int) -> None:
        self._run.check()
        self._progress.moved(part, count)
        if self._rate_limit is not None:
            self._rate_limit.take(count)

    def complete(
        self,
        upload: Upload,
        *,
        threads: int,
        digest: t.Callable[[], str],
        mode: str | None,
        overwrite: bool,
    ) -> Upload:
        """Send and stitch until the service has published; its receipt.

        :param upload: the upload as the service knows it now
        :param digest: waits for the SHA-256 of the source
        """
        for number in range(ROUNDS):
            if upload["state"] == "receiving":
                self._send_missing(upload["received"], threads)
            self._progress.hashing()
            sha256 = digest()
            self._source.check()
            upload = self._stitch({"sha256": sha256, "mode": mode, "overwrite": overwrite})
            if upload["state"] == "published":
                return t.cast(Upload, upload["receipt"])
            problem = upload.get("problem") or {}
            _raise_lasting(problem)
            self._run.wait(min(PAUSE_MOST, 2.0**number - 1))
        detail = problem.get("detail") or "the service ended in the middle of it each time"
        raise Damaged(f"the file could not be stitched in {ROUNDS} tries: {detail}; the log of the service says more")

    def _send_missing(self, received: Ranges, threads: int) -> None:
        plan = self._session.plan
        self._progress.sending(plan, received)
        parts = plan.parts(missing(plan, received))
        for part in work_through(parts, self._put, threads=threads, stop=self._run.stop):
            self._acknowledged(part)
            self._progress.arrived(part)

    def _put(self, part: Part) -> Part:
        """Send one part until the service has it as we sent it."""
        replaces: str | None = None

        def attempt() -> None:
            nonlocal replaces
            body = self.checked_body(part)
            try:
                etag = self._service.put_part(
                    self._session.id,
                    part.number,
                    body,
                    key=self._session.part_key,
                    replaces=replaces,
                )
            except Refused as error:
                if error.problem == "part-conflict" and error.members.get("etag"):
                    replaces = error.members["etag"]
                    error.transient = True
                raise
            self._source.check()
            if etag != body.etag():
                replaces = etag
                raise Damaged(f"part {part.number} arrived damaged; look for what changes bytes on the way to the service, such as a proxy")

        self._persist(attempt)
        return part

    def _stitch(self, wanted: dict[str, t.Any]) -> Upload:
        """Ask for stitching and wait for its end: published, or receiving again."""
        session = self._session
        wanted = {
            "name": session.name,
            "size": session.plan.size,
            "key": session.wrapped_key,
            **wanted,
        }
        try:
            upload: Upload | None = self._service.stitch(session.id, wanted)
        except Refused as error:
            if error.problem != "parts-missing":
                raise
            known = self._service.upload(session.id)
            upload = known and {**known, "problem": None}  # that of an earlier stitching
        pause = POLL_FIRST
        while upload is not None and upload["state"] == "stitching":
            self._progress.stitching(upload.get("stitch"))
            self._run.wait(pause)
            pause = min(pause * 1.5, POLL_MOST)
            upload = self._service.upload(session.id)
        if upload is None:
            raise Refused(
                "the service does not know the upload any more: it was aborted or has expired; run again to begin anew",
                status=404,
                by_service=True,
            )
        return upload


def _raise_lasting(problem: dict[str, t.Any]) -> None:
    """Raise what sending parts again and stitching again cannot mend."""
    name = str(problem.get("type", "")).rpartition(":")[2]
    if name == "digest-mismatch":
        raise SourceChanged(MISMATCH)
    if problem and name != "parts-damaged" and not problem.get("retryable"):
        raise Refused(
            f"stitching failed: {problem.get('detail')}",
            status=int(problem.get("status", 500)),
            problem=name,
            members=problem,
        )


__all__ = ["MISMATCH", "Transfer", "Upload"]
