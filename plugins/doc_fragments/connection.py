# Copyright (c) 2026, the bigfile.oci founders
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that say where the service is and who asks."""

from __future__ import annotations


class ModuleDocFragment:
    """Connection options of all modules; the spec is in module_utils/_options.py."""

    DOCUMENTATION = r"""
requirements:
  - Python 3.10 or later on the host that runs the module. The role P(bigfile.oci.upload_client#role) brings it the libraries.
  - requests
  - pycryptodome >= 3.23
  - filechunkio
  - pickledb[sqlite] >= 1.6
options:
  endpoint:
    description:
      - URL of the service that the role P(bigfile.oci.oracle_assembler#role) deployed, such as V(https://host.example:8443).
      - Plain http to another host is refused unless O(assembler_public_key) is given or O(validate_certs) is V(false).
      - Falls back to the environment variable E(BIGFILE_ENDPOINT). All such variables are read on the host that runs the module.
    type: str
    required: true
  username:
    description:
      - User of the service. Needed with O(password) unless there is a O(token).
      - Falls back to E(BIGFILE_USERNAME).
    type: str
  password:
    description:
      - Password of O(username). A token is made from it, and made again when it expires in the middle of an upload.
      - Falls back to E(BIGFILE_PASSWORD).
    type: str
  token:
    description:
      - A token to use in place of user and password. When it expires the run fails, unless O(username) and O(password) are given too.
      - Falls back to E(BIGFILE_TOKEN).
    type: str
  validate_certs:
    description:
      - Whether the certificate of the service has to be trusted. V(false) also allows plain http to another host.
      - Falls back to E(BIGFILE_VALIDATE_CERTS).
    type: bool
    default: true
  ca_path:
    description:
      - File with the certificate authorities to trust in place of the usual ones, in PEM format.
      - Falls back to E(BIGFILE_CA_PATH).
    type: path
  client_cert:
    description:
      - File with a client certificate in PEM format, with its key in it unless O(client_key) is given.
      - Falls back to E(BIGFILE_CLIENT_CERT).
    type: path
  client_key:
    description:
      - File with the private key of O(client_cert) in PEM format.
      - Falls back to E(BIGFILE_CLIENT_KEY).
    type: path
  assembler_public_key:
    description:
      - The public key of the service, as the role shows it (base64 of 32 bytes). A service that shows another key gets nothing.
      - Falls back to E(BIGFILE_ASSEMBLER_PUBLIC_KEY).
    type: str
  timeout:
    description:
      - How long the connection may stand still, in seconds. It is no limit of the whole upload; O(deadline) is.
      - Falls back to E(BIGFILE_TIMEOUT).
    type: float
    default: 60.0
  retries:
    description:
      - How often a request is tried again after a failure that may pass, such as a dropped connection, each time after a longer pause.
        Until the service has answered once it is tried again twice at most.
      - Falls back to E(BIGFILE_RETRIES).
    type: int
    default: 10
  deadline:
    description:
      - Seconds after which the run fails whatever it does. What was acknowledged until then is kept, and the next run continues.
      - Falls back to E(BIGFILE_DEADLINE).
    type: float
"""
