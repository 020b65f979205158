#!/usr/bin/python
# Copyright (c) 2026, the bigfile.oci founders
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: oci_chunked_upload_info
short_description: Tell of pending uploads and of a published file
version_added: 1.0.0
author:
  - The bigfile.oci founders (@bigfile-oci)
description:
  - Tells which uploads are pending, as the journal of this host and the service know them, with what they have done so far; and what
    is published at a destination.
options:
  path:
    description:
      - A destination below the folder of the user. Only what concerns it is told, and RV(file) is filled in.
    type: str
extends_documentation_fragment:
  - bigfile.oci.attributes
  - bigfile.oci.attributes.journal
  - bigfile.oci.connection
seealso:
  - module: bigfile.oci.oci_chunked_upload
"""

EXAMPLES = r"""
- name: Look how far the export is
  bigfile.oci.oci_chunked_upload_info:
    endpoint: https://db1.example:8443
    username: dba
    password: "{{ vault_dba_password }}"
    path: dumps/sales.dmp
  register: export

- name: Say it
  ansible.builtin.debug:
    msg: "{{ export.pending | map(attribute='parts_present') | list }} parts are there"
"""

RETURN = r"""
pending:
  description: Uploads that were begun and are not done.
  returned: success
  type: list
  elements: dict
  contains:
    upload_id:
      description: Id of the upload.
      type: str
      sample: 6f1d0c0de5d94d6ab7b6e3f7c1b3a9e2
    path:
      description: Destination below the folder of the user.
      type: str
      sample: dumps/sales.dmp
    source:
      description: The file on this host; V(none) when the journal does not know the upload.
      type: str
      sample: /u01/exports/sales.dmp
    size:
      description: Bytes of the file.
      type: int
      sample: 107374182400
    part_size:
      description: Bytes of a part as it is sent.
      type: int
      sample: 16777216
    parts:
      description: Number of parts of the file.
      type: int
      sample: 6401
    parts_present:
      description: Parts that are there, by the service if it knows the upload, else by the journal.
      type: int
      sample: 4001
    bytes_present:
      description: Bytes of the file in these parts.
      type: int
      sample: 67125968960
    state:
      description: V(receiving) or V(stitching) by the service; V(unknown) when only the journal knows the upload, as after it expired.
      type: str
      sample: receiving
    expires:
      description: When the service drops the upload unless it goes on; V(none) when the service does not know it.
      type: str
      sample: "2026-11-30T08:15:00Z"
    journaled:
      description: Whether the journal of this host knows the upload, so that the next run continues it.
      type: bool
      sample: true
    progress:
      description:
        - How far the run on this host is that uses the same O(journal), or the last one was; V(none) when there was none.
        - A run that reads its source before the upload begins, or sends a small file, is told too; its RV(pending[].upload_id) is V(none).
      type: dict
      contains:
        running:
          description: Whether the run is under way. V(false) after it ended or was killed; what it had done then is what is told.
          type: bool
          sample: true
        state:
          description: V(asking) the service, V(hashing), V(sending), V(retrying), V(stitching), or V(ended) without the file published.
          type: str
          sample: sending
        reason:
          description: Why it tries again, or ended; V(none) otherwise.
          type: str
          sample: no connection to https://db1.example:8443
        percent:
          description: RV(pending[].progress.bytes_done) of RV(pending[].progress.bytes_total), rounded down.
          type: int
          sample: 62
        bytes_done:
          description: Bytes that are hashed, sent or stitched, as the state says. Those on the way count as sent.
          type: int
          sample: 67125968960
        bytes_total:
          description: Bytes that are to be; 0 when that is not known yet.
          type: int
          sample: 107374182400
        parts_done:
          description: Parts that the service acknowledged.
          type: int
          sample: 4001
        rate:
          description: Bytes a second, over the last ten; V(none) when it is not running.
          type: int
          sample: 413401626
        seconds_left:
          description: What is left by this rate; V(none) when that cannot be told.
          type: int
          sample: 97
        updated:
          description: When the run wrote this down.
          type: str
          sample: "2026-11-24T08:15:00Z"
        text:
          description: All this for people.
          type: str
          sample: "dumps/sales.dmp: 62 %, 62.5 GiB of 100.0 GiB, 4001 of 6401 parts, 394.3 MiB/s, 0:01:37 left"
file:
  description: What is published at O(path); V(none) when nothing is, or no O(path) is given.
  returned: success
  type: dict
  contains:
    path:
      description: Destination below the folder of the user.
      type: str
      sample: dumps/sales.dmp
    size:
      description: Bytes of the file.
      type: int
      sample: 107374182400
    sha256:
      description: Its SHA-256; V(none) when it was not published by the service, or was changed since.
      type: str
      sample: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
    mode:
      description: Its permissions.
      type: str
      sample: "0640"
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _options
from ..module_utils._errors import UploadError
from ..module_utils._names import destination
from ..module_utils._pending import pending
from ..module_utils._watch import look

ARGUMENT_SPEC = {
    "path": {"type": "str"},
    **_options.connection_spec(),
    **_options.journal_spec(),
}


def run(module: AnsibleModule) -> dict[str, t.Any]:
    """Ask journal and service."""
    path = destination("", module.params["path"]) if module.params["path"] else None
    client = _options.service(module).client
    journal = _options.journal(module, read_only=True)
    told = pending(client, journal, path, look(journal.beside("*", "progress")))
    return {"changed": False, "pending": told, "file": client.file(path) if path else None}


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    _options.require_libraries(module)
    try:
        facts = run(module)
    except UploadError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(**facts)


if __name__ == "__main__":
    main()
