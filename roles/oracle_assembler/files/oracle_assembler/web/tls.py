# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The certificate in use, which can be exchanged while connections go on.

A new pair is read into a context of its own. To load it into the context in use would leave the old one there beside it when the two have
keys of different kinds, and a pair that does not fit would spoil what works.
"""

from __future__ import annotations

import logging
import ssl

_log = logging.getLogger(__name__)


class Tls:
    """Certificate and key, read from two files."""

    def __init__(self, certificate: str, key: str) -> None:
        self._certificate, self._key = certificate, key
        self.context = self._current = self._read()
        """What connections are accepted with; each takes the pair that is current then."""
        self.context.sni_callback = self._choose

    def reload(self) -> None:
        """Take what is in the files now; a pair that cannot be used leaves the one in use alone."""
        try:
            self._current = self._read()
        except OSError as error:  # an SSLError is one
            reason = getattr(error, "reason", None) or error.strerror
            _log.error(
                "the certificate could not be reloaded, the old one stays in use",
                extra={"certificate": self._certificate, "reason": reason},
            )
        else:
            _log.info("the certificate was reloaded", extra={"certificate": self._certificate})

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._certificate, self._key, password="")  # never ask a terminal for one
        return context

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current


__all__ = ["Tls"]
