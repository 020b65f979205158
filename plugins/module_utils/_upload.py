# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The use case: a local file is to stand at a destination. Look up, plan, send what is missing, stitch, compare the receipt.

Private to the collection bigfile.oci. First run, resumed run, repeated run and check mode are one path. The source, the journal and
the service come in as arguments.
"""

from __future__ import annotations

import base64
import contextlib
import os
import typing as t

from . import _entry, _plan
from ._digest import RunningDigest
from ._entry import Entry, Session
from ._errors import Damaged, Refused, SourceChanged, Untrusted, UploadError
from ._names import journal_key, source_reference
from ._outcome import Facts, Outcome, delivered, described
from ._progress import Progress
from ._resume import Resume
from ._sealed.cipher import SCHEME
from ._transfer import MISMATCH, Transfer, Upload

if t.TYPE_CHECKING:
    from ._body import Reader
    from ._file_upload import FileUpload
    from ._journal import Journal
    from ._pace import RateLimit, Run
    from ._sealed.layout import Part
    from ._source import Source
    from ._wish import Wish


class Uploader:
    """Brings one source to one destination.

    :param persist: tries an action again while its errors are transient, see :mod:`_retry`
    :param random: draws so many random bytes: keys and ids
    :param watched: goes around the run, given its place in the journal, see :mod:`_watch`
    """

    def __init__(
        self,
        wish: Wish,
        *,
        source: Source,
        journal: Journal,
        service: FileUpload,
        run: Run,
        persist: t.Callable[[t.Callable[[], t.Any]], t.Any],
        rate_limit: RateLimit | None = None,
        random: t.Callable[[int], bytes] = os.urandom,
        progress: Progress | None = None,
        watched: t.Callable[[str], contextlib.AbstractContextManager[t.Any]] = contextlib.nullcontext,
    ) -> None:
        self._wish = wish
        self._source = source
        self._journal = journal
        self._service = service
        self._run = run
        self._persist = persist
        self._rate_limit = rate_limit
        self._random = random
        self._progress = progress or Progress()
        self._progress.about(wish.path, source.path, service.base, source.size)
        self._watched = watched
        self._key = journal_key(source.path, service.base, wish.path)
        self._resume = Resume(wish, key=self._key, source=source, journal=journal, service=service)
        self._sent: list[Part] = []

    def present(self) -> Outcome:
        """See to it that the file stands at its destination.

        :raises UploadError: when it does not; what was acknowledged until then serves the next run, unless the source changed.
        """
        with self._journal.claim(self._key), self._watched(self._key), self._doubted_digest():
            there = self._service.file(self._wish.path)
            if there is not None and (not self._wish.force or self._is_same(there)):
                return self._settled(there)
            entry = self._resume.find()
            if self._wish.check_mode:
                return self._foreseen(there, entry)
            try:
                if entry is None and self._source.size < self._wish.threshold:
                    return self._send_whole(there)
                return self._send_parts(there, entry)
            except Refused as error:
                there = self._service.file(self._wish.path) if error.problem == "exists" else None
                if there is None:
                    raise
                return self._settled(there)  # somebody was faster, or our own answer was lost; and it is to be left alone

    @contextlib.contextmanager
    def _doubted_digest(self) -> t.Iterator[None]:
        """Drop the remembered digest of a source that changed, or else the next run would trust it again."""
        try:
            yield
        except SourceChanged:
            self._journal.forget_digest(self._source.path)
            raise

    # What is there

    def _is_same(self, there: Facts) -> bool:
        """Whether the published file has our bytes; reads ours only when the sizes agree and nothing is remembered."""
        return there["size"] == self._source.size and there["sha256"] is not None and there["sha256"] == self._digest()

    def _digest(self) -> str:
        return self._noted(self._remembered() or self._computed())

    def _remembered(self) -> str | None:
        if self._wish.verify == "always":
            return None
        return self._journal.digest(self._source.path, self._source.identity)

    def _computed(self) -> str:
        self._progress.hashing()
        return self._source.sha256(self._hashed)

    def _hashed(self, done: int) -> None:
        self._run.check()
        self._progress.hashed(done)

    def _settled(self, there: Facts) -> Outcome:
        """The file is there as wanted, or is to be left alone; at most its mode is to change."""
        after = {**there, "mode": self._wish.mode or there["mode"]} if self._wish.force else there
        if not self._wish.check_mode:
            self._resume.finished()
        if self._wish.force and not self._wish.check_mode:
            self._journal.remember(self._source.path, self._source.identity, there["sha256"])
            if after != there:
                self._service.set_mode(there["path"], after["mode"])
        return Outcome(
            after != there,
            there["path"],
            there["size"],
            there["sha256"],
            before=described(there),
            after=described(after),
        )

    # Check mode

    def _foreseen(self, there: Facts | None, entry: Entry | None) -> Outcome:
        upload = self._service.upload(entry.id) if entry else None
        plan = entry.plan if entry and upload else self._wish.plan(self._source.size)
        after = {"path": self._wish.path, "size": plan.size, "sha256": self._remembered(), "mode": self._wish.mode}
        todo = list(plan.parts(_plan.missing(plan, upload["received"] if upload else [])))
        return delivered(after, plan, there=there, resumed=upload, sent=todo, upload_id=upload["id"] if upload else None)

    # Sending

    def _new_entry(self) -> Entry:
        return _entry.new(
            self._random(16).hex(),
            self._wish.plan(self._source.size),
            names=(self._source.path, self._service.base, self._wish.path),
            identity=self._source.identity,
            release_key=self._wish.release_key,
            encryption_key=self._wish.encryption_key,
            random=self._random,
        )

    def _session(self, entry: Entry) -> Session:
        facts = self._service.server()
        if entry.encrypted and SCHEME not in facts["sealing"]:
            raise Untrusted(
                f"the service at {self._service.base} does not open streams of {SCHEME}; deploy it again, or send with encrypt: false"
            )
        return _entry.session(
            entry,
            encryption_key=self._wish.encryption_key,
            public_key=base64.b64decode(facts["public_key"]),
        )

    def _transfer(self, session: Session, reader: Reader | None = None) -> Transfer:
        return Transfer(
            session,
            source=self._source,
            service=self._service,
            run=self._run,
            persist=self._persist,
            acknowledged=self._note,
            reader=reader,
            rate_limit=self._rate_limit,
            progress=self._progress,
        )

    def _note(self, part: Part) -> None:
        self._journal.note(self._key, part.number)
        self._sent.append(part)

    def _send_whole(self, there: Facts | None) -> Outcome:
        """A small file: one request, and nothing to resume."""
        session = self._session(self._new_entry())
        transfer = self._transfer(session)
        sha256 = self._digest()
        part = session.plan.part(1)
        self._progress.sending(session.plan, [])
        headers = session.file_headers(sha256, self._wish.mode, overwrite=self._wish.force)
        try:
            receipt = self._service.put_file(self._wish.path, headers, lambda: transfer.checked_body(part))
        except Refused as error:
            if error.problem == "digest-mismatch":
                raise SourceChanged(MISMATCH) from error
            raise
        self._sent.append(part)
        return self._received(receipt, sha256, there=there, session=session)

    def _send_parts(self, there: Facts | None, entry: Entry | None) -> Outcome:
        """A large file: what the service misses of the upload that is pending, or of a new one."""
        upload = self._resume.known(entry) if entry else None
        if entry is None or upload is None:
            self._journal.forget(self._key)
            entry = self._new_entry()
        session = self._session(entry)
        self._journal.begin(self._key, entry._asdict())
        try:
            known = upload or self._begun(entry)
            reader, digest = self._digest_meanwhile()
            receipt = self._transfer(session, reader).complete(
                known, threads=self._wish.threads, digest=digest, mode=self._wish.mode, overwrite=self._wish.force
            )
            outcome = self._received(receipt, digest(), there=there, session=session, resumed=upload)
        except SourceChanged:
            with contextlib.suppress(UploadError):
                self._resume.give_up(entry.id)
            raise
        except UploadError as error:
            raise self._explained(error, entry) from error.__cause__
        self._journal.forget(self._key)
        return outcome

    def _begun(self, entry: Entry) -> Upload:
        """Begin the upload, as we mean it: a path or size that changed on the way would publish something else."""
        upload = self._service.begin(_entry.opening(entry, source_reference(entry.source, entry.identity)))
        if not _entry.is_begun_as(entry, upload):
            self._resume.give_up(entry.id)
            raise Damaged("the service began another upload than it was asked for: bytes changed on the way; run the task again")
        return upload

    def _digest_meanwhile(self) -> tuple[Reader | None, t.Callable[[], str]]:
        """What parts are to be read from while the source is hashed, and what waits for the digest, on the thread that writes the journal."""
        known = self._remembered()
        if known is not None:
            return None, lambda: known
        running = RunningDigest(self._source, self._hashed)
        return running, lambda: self._noted(running.hexdigest())

    def _noted(self, sha256: str) -> str:
        self._journal.remember(self._source.path, self._source.identity, sha256)
        return sha256

    # Endings

    def _received(
        self,
        receipt: Facts,
        sha256: str,
        *,
        there: Facts | None,
        session: Session,
        resumed: Upload | None = None,
    ) -> Outcome:
        """The service's receipt, compared with ours."""
        if (receipt["path"], receipt["size"], receipt["sha256"]) != (self._wish.path, self._source.size, sha256):
            raise UploadError(
                f"the service published {receipt['size']} bytes with SHA-256 {receipt['sha256']} as {receipt['path']}, "
                f"the source has {self._source.size} with {sha256} for {self._wish.path}; "
                "run the task again, which sends it anew"
            )
        return delivered(receipt, session.plan, there=there, resumed=resumed, sent=self._sent, upload_id=session.id)

    def _explained(self, error: UploadError, entry: Entry) -> UploadError:
        """The error with what is safe, for the person who reads it."""
        safe = len(self._journal.parts(self._key))
        error.facts.update(upload_id=entry.id, parts=entry.parts, parts_present=safe)
        gone = isinstance(error, Refused) and error.is_absence  # the service forgot the upload, and its parts with it
        if safe and not gone:
            error.args = (f"{error}. {safe} of {entry.parts} parts are safe on the server; run the task again to continue",)
        return error


def absent(path: str, *, service: FileUpload, journal: Journal, check_mode: bool) -> Outcome:
    """See to it that no file stands at ``path`` and no upload to it is pending."""
    there = service.file(path)
    pending = service.uploads(path)
    if not check_mode:
        for upload in pending:
            service.abort(upload["id"])
        for key, members in journal.entries().items():
            if (members.get("endpoint"), members.get("path")) == (service.base, path):
                journal.forget(key)
        if there is not None:
            service.delete_file(path)
    size, sha256 = (there["size"], there["sha256"]) if there else (0, None)
    before = described(there) + "".join(f"pending upload {upload['id']}\n" for upload in pending)
    return Outcome(
        there is not None or bool(pending),
        path,
        size,
        sha256,
        before=before,
        after=described(None),
    )


__all__ = ["Uploader", "absent"]
