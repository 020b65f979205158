# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Events become metrics and log lines. Facts of events carry no secrets; keep it so."""

from __future__ import annotations

import logging
import shutil
import typing as t

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_log = logging.getLogger("oracle_assembler.event")
_SECONDS = (0.1, 1, 10, 60, 300, 1800, 7200)


class Observer:
    """Counts and logs."""

    def __init__(self, data_dir: str) -> None:
        self.registry = CollectorRegistry()
        name = "oracle_assembler_"
        self._requests = Counter(name + "requests", "Requests by status", ["status"], registry=self.registry)
        self._uploads = Counter(name + "uploads", "Uploads by outcome", ["outcome"], registry=self.registry)
        self._files = Counter(name + "files", "Files published in one request", registry=self.registry)
        self._parts = Counter(name + "parts", "Parts received", registry=self.registry)
        self._again = Counter(name + "parts_again", "Parts that were there already", registry=self.registry)
        self._bytes = Counter(name + "received_bytes", "Bytes of parts received, as they travelled", registry=self.registry)
        self._stitch = Histogram(name + "stitch_seconds", "Duration of stitching", buckets=_SECONDS, registry=self.registry)
        self._denied = Counter(name + "auth_failures", "Failed logins", registry=self.registry)
        Gauge(name + "disk_free_bytes", "Room in the data folder", registry=self.registry).set_function(
            lambda: shutil.disk_usage(data_dir).free
        )

    def request(self, status: int) -> None:
        """A request was answered."""
        self._requests.labels(str(status)).inc()

    def __call__(self, event: str, *, failure: BaseException | None = None, **facts: t.Any) -> None:
        """Something happened; called from any thread. ``failure``: it is our own, or the disk's."""
        getattr(self, "_on_" + event.replace("-", "_"), self._on_other)(**facts)
        level = logging.ERROR if failure else logging.DEBUG if event in ("part", "part-again") else logging.INFO
        _log.log(level, event, extra=facts, exc_info=failure)

    def _on_other(self, **facts: t.Any) -> None:
        """An event that is only logged."""

    def _on_part(self, size: int) -> None:
        self._parts.inc()
        self._bytes.inc(size)

    def _on_part_again(self, size: int) -> None:
        self._again.inc()
        self._bytes.inc(size)

    def _on_file(self, **facts: t.Any) -> None:
        self._files.inc()
        self._bytes.inc(facts["size"])

    def _on_upload_begun(self, **_facts: t.Any) -> None:
        self._uploads.labels("begun").inc()

    def _on_upload_ended(self, **facts: t.Any) -> None:
        self._uploads.labels(facts["outcome"]).inc()

    def _on_stitched(self, **facts: t.Any) -> None:
        self._uploads.labels(facts["outcome"]).inc()
        self._stitch.observe(facts["seconds"])

    def _on_login_failed(self, **_facts: t.Any) -> None:
        self._denied.inc()


__all__ = ["Observer"]
