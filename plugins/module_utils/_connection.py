# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where the service is and who we are.

Private to the collection bigfile.oci.
"""

from __future__ import annotations

import contextlib
import ipaddress
import typing as t
from urllib.parse import urlsplit

from ._errors import OptionError


class Connection(t.NamedTuple):
    """The connection as the user describes it. Nothing of it but the endpoint is shown by ``repr``.

    ``timeout`` is how long, in seconds, the other side may stand still; ``public_key`` is the service's key as the user knows it.
    """

    endpoint: str
    username: str | None = None
    password: str | None = None
    token: str | None = None
    validate_certs: bool = True
    ca_path: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    public_key: bytes | None = None
    timeout: float = 60.0

    def __repr__(self) -> str:
        return f"Connection({self.endpoint!r})"

    @property
    def base(self) -> str:
        """The endpoint without a trailing slash.

        :raises OptionError: when it is no http or https URL.
        """
        try:
            parts = urlsplit(self.endpoint)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if "@" in self.endpoint:
            raise OptionError("the endpoint carries a user or password; give them with username and password")
        if not usable:
            raise OptionError(f"the endpoint {self.endpoint} is not a URL such as https://host.example:8443")
        return self.endpoint.rstrip("/")

    @property
    def private(self) -> bool:
        """Whether nobody but the two ends reads what crosses: TLS, or a connection inside one host."""
        parts = urlsplit(self.endpoint)
        host = parts.hostname or ""
        with contextlib.suppress(ValueError):
            return parts.scheme == "https" or ipaddress.ip_address(host).is_loopback
        return parts.scheme == "https" or host == "localhost"


__all__ = ["Connection"]
