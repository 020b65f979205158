#!/usr/bin/python
# Copyright (c) 2026, the bigfile.oci founders
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: oci_chunked_upload
short_description: Upload a large file in encrypted parts, and resume where it stopped
version_added: 1.0.0
author:
  - The bigfile.oci founders (@bigfile-oci)
description:
  - Brings a file from the host that runs the module to an Oracle Cloud host on which the role P(bigfile.oci.oracle_assembler#role) runs.
  - A file below O(threshold) goes up in one request. A larger one is cut into parts of 5 MiB at least; each is read, encrypted and sent on
    its own, by O(threads) threads, and no part is ever written to a disk here.
  - The service stitches the parts together, checks size and SHA-256 and publishes the file in one step. Readers see the whole file or none.
  - When a run is interrupted, however hard, run it again; it sends what is missing.
  - A file that is there already, and whose source did not change since, is neither read nor sent.
options:
  src:
    description:
      - The file to upload. Required when O(state=present).
    type: path
  dest:
    description:
      - Where the file is to be, as a path below the folder of the user on the service. Folders on the way are made.
      - With a slash at its end it names the folder for the file.
      - The name of O(src) when left out.
    type: str
  state:
    description:
      - V(present) uploads, V(absent) deletes the published file and aborts what is pending for it.
    type: str
    choices: [present, absent]
    default: present
  threshold:
    description:
      - A smaller file goes up whole, in one request. Units are powers of 1024.
    type: str
    default: 5M
  split:
    description:
      - Number of parts wanted. Parts are rounded up to whole MiB and have 5 MiB at least, so there may be fewer; and there are
        10,000 at most.
      - An upload that is pending goes on with the parts it was begun with.
    type: int
  part_size:
    description:
      - Size of the parts, 5 MiB at least, rounded up to whole MiB. Grows where there would be more than 10,000 parts.
      - When neither this nor O(split) is given, a 64th of the file, but not less than 16 MiB and not more than 64 MiB.
    type: str
  threads:
    description:
      - How many parts are sent at a time, 1 to 64.
    type: int
    default: 4
  encrypt:
    description:
      - Whether the file is encrypted on its way (AES-256-GCM in Tink's streaming format), besides what TLS does.
    type: bool
    default: true
  encryption_key:
    description:
      - A key of 32 bytes in base64, from which the key of each upload is derived. It is not kept anywhere.
      - When left out, each upload has a random key, which the journal keeps until the upload is done.
      - Falls back to E(BIGFILE_ENCRYPTION_KEY).
    type: str
  release_key:
    description:
      - When the service learns the key of the upload. V(with_parts) opens parts while they arrive; V(at_stitch) keeps them sealed until
        the last one is there. A file below O(threshold) takes its key along in either case.
    type: str
    choices: [with_parts, at_stitch]
    default: with_parts
  force:
    description:
      - Whether a published file with other content is replaced. With V(false) any file that is there is left alone.
    type: bool
    default: true
  verify:
    description:
      - Whether the digest remembered for a source that did not change (same device, inode, size and times) may be used (V(cached)), or
        the source is read again (V(always)).
    type: str
    choices: [cached, always]
    default: cached
  rate_limit:
    description:
      - Most bytes sent in a second, all threads together. Units are powers of 1024.
    type: str
  mode:
    description:
      - Permissions of the published file, in octal and in quotes, such as V("0640"). The service's own default when left out.
    type: str
  progress:
    description:
      - Whether lines on the standard error of the control node tell how far the upload is. They appear after two seconds; on a terminal each few
        seconds, more and more seldom; elsewhere for each 10 percent, but at least one in a minute.
      - With V(auto) there are none when the callback on standard output writes for machines, as C(ansible.posix.json) does, and none when the
        task has C(no_log).
      - V(true) shows them in these cases too. With C(no_log) they then have figures, but neither the name of the file nor a reason.
      - There are none in check mode, with C(async), and where the module runs without its action plugin. M(bigfile.oci.oci_chunked_upload_info) tells
        the same in any case.
    type: str
    choices: ["auto", "true", "false"]
    default: auto
notes:
  - A run that loses its control node, by an interrupt, a kill or a connection that breaks, ends on its host too; within moments when it notices,
    within some minutes when the control node falls silent. The next run continues.
extends_documentation_fragment:
  - bigfile.oci.attributes
  - bigfile.oci.attributes.action
  - bigfile.oci.attributes.journal
  - bigfile.oci.connection
seealso:
  - module: bigfile.oci.oci_chunked_upload_info
  - module: bigfile.oci.oci_upload_folder
"""

EXAMPLES = r"""
- name: Bring a Data Pump export to the database host
  bigfile.oci.oci_chunked_upload:
    endpoint: https://db1.example:8443
    username: dba
    password: "{{ vault_dba_password }}"
    src: /u01/exports/sales.dmp
    dest: dumps/
    mode: "0640"

- name: Ship model weights from a pipeline; endpoint and credentials come from BIGFILE_ENDPOINT, BIGFILE_USERNAME and BIGFILE_PASSWORD
  bigfile.oci.oci_chunked_upload:
    src: build/weights.safetensors

- name: Leave some of a thin line to others, and keep the key to ourselves until all is there
  bigfile.oci.oci_chunked_upload:
    endpoint: https://db1.example:8443
    username: dba
    password: "{{ vault_dba_password }}"
    src: /u01/backup/full.bkp
    dest: rman/full.bkp
    split: 500
    threads: 8
    rate_limit: 50M
    release_key: at_stitch
    assembler_public_key: "{{ assembler_public_key }}"
"""

RETURN = r"""
path:
  description: Destination below the folder of the user.
  returned: success
  type: str
  sample: dumps/sales.dmp
url:
  description: Where the file can be downloaded with the token of the user.
  returned: success
  type: str
  sample: https://db1.example:8443/v1/files/dumps/sales.dmp
size:
  description: Bytes of the file.
  returned: success
  type: int
  sample: 107374182400
sha256:
  description: SHA-256 of the published file. In check mode that of the source, if it is known without reading it.
  returned: success
  type: str
  sample: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
encrypted:
  description: Whether the file was sealed on its way. V(none) when nothing was sent.
  returned: success
  type: bool
  sample: true
resumed:
  description: Whether an earlier run's upload was continued.
  returned: success
  type: bool
  sample: false
upload_id:
  description: Id of the upload, as the service's log has it.
  returned: success, and failure in mid-upload
  type: str
  sample: 6f1d0c0de5d94d6ab7b6e3f7c1b3a9e2
request_id:
  description: Id of the request that the service refused, as its log has it.
  returned: failure, when the service answered
  type: str
  sample: 5da8c8e2e9a4453d
part_size:
  description: Bytes of a part as it is sent; the last one may be smaller.
  returned: success
  type: int
  sample: 16777216
parts:
  description: Number of parts of the file.
  returned: success, and failure in mid-upload
  type: int
  sample: 6401
parts_sent:
  description: Parts that this run sent, or would send in check mode.
  returned: success
  type: int
  sample: 2400
parts_present:
  description: Parts that were there when this run began. After a failure, those that are safe on the server.
  returned: success, and failure in mid-upload
  type: int
  sample: 4001
bytes_sent:
  description: Bytes of these parts on the wire.
  returned: success
  type: int
  sample: 40265318400
duration:
  description: Seconds that the run took.
  returned: success
  type: float
  sample: 97.4
rate:
  description: RV(bytes_sent) in a second of RV(duration).
  returned: success
  type: int
  sample: 413401626
"""

import contextlib
import os
import re
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _options
from ..module_utils._errors import OptionError, UploadError
from ..module_utils._names import destination
from ..module_utils._outcome import Outcome
from ..module_utils._pace import RateLimit
from ..module_utils._progress import WATCH_ID, Progress
from ..module_utils._source import Source
from ..module_utils._upload import Uploader, absent
from ..module_utils._watch import Watch
from ..module_utils._wish import Wish

ARGUMENT_SPEC = {
    "src": {"type": "path"},
    "dest": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "threshold": {"type": "str", "default": "5M"},
    "split": {"type": "int"},
    "part_size": {"type": "str"},
    "threads": {"type": "int", "default": 4},
    "encrypt": {"type": "bool", "default": True},
    "encryption_key": _options.from_environment("ENCRYPTION_KEY", type="str", no_log=True),
    "release_key": {"type": "str", "choices": ["with_parts", "at_stitch"], "default": "with_parts", "no_log": False},
    "force": {"type": "bool", "default": True},
    "verify": {"type": "str", "choices": ["cached", "always"], "default": "cached"},
    "rate_limit": {"type": "str"},
    "mode": {"type": "str"},
    "progress": {"type": "str", "choices": ["auto", "true", "false"], "default": "auto"},
    **_options.connection_spec(),
    **_options.journal_spec(),
}


def wish(params: dict[str, t.Any], *, check_mode: bool) -> Wish:
    """What the options ask for, in bytes and keys."""
    if not 1 <= params["threads"] <= 64:
        raise OptionError(f"threads is a number from 1 to 64, not {params['threads']}")
    if params["mode"] is not None and not re.fullmatch("0[0-7]{3}", params["mode"]):
        raise OptionError(f'mode is four octal digits in quotes, such as "0640", not {params["mode"]}')
    key = params["encryption_key"]
    taken = {name: params[name] for name in ("split", "threads", "encrypt", "release_key", "force", "verify", "mode")}
    wanted = Wish(
        destination(params["src"] or "", params["dest"]),
        threshold=_options.size_in_bytes("threshold", params["threshold"]) or 0,
        part_size=_options.size_in_bytes("part_size", params["part_size"]),
        encryption_key=_options.key_bytes("encryption_key", key) if key else None,
        check_mode=check_mode,
        **taken,
    )
    wanted.plan(wanted.threshold)  # a split or part size that cannot be meant is told whatever the size of the file
    return wanted


def run(module: AnsibleModule) -> dict[str, t.Any]:
    """Do what the task asks for; the result."""
    wanted = wish(module.params, check_mode=module.check_mode)
    rate = _options.size_in_bytes("rate_limit", module.params["rate_limit"])
    source = Source(module.params["src"]) if module.params["state"] == "present" else None
    progress = Progress()
    service = _options.service(module, progress)
    journal = _options.journal(module)

    def watched(key: str) -> contextlib.AbstractContextManager[t.Any]:
        if module.check_mode:
            return contextlib.nullcontext()
        return Watch(progress, journal.beside(key, "progress"), watch_id=os.environ.get(WATCH_ID))

    if source is None:
        outcome = absent(wanted.path, service=service.client, journal=journal, check_mode=module.check_mode)
    else:
        limit = RateLimit(rate, wait=service.run.wait) if rate else None
        uploader = Uploader(
            wanted,
            source=source,
            journal=journal,
            service=service.client,
            run=service.run,
            persist=service.persist,
            rate_limit=limit,
            progress=progress,
            watched=watched,
        )
        outcome = uploader.present()
    return result(outcome, url=service.client.url(wanted.path), duration=service.run.elapsed())


def result(outcome: Outcome, *, url: str, duration: float) -> dict[str, t.Any]:
    """The outcome as RETURN has it, with its diff."""
    facts = outcome._asdict()
    diff = {
        "before_header": outcome.path,
        "after_header": outcome.path,
        "before": facts.pop("before"),
        "after": facts.pop("after"),
    }
    return {
        **facts,
        "url": url,
        "duration": round(duration, 3),
        "rate": int(outcome.bytes_sent / max(duration, 0.001)),
        "diff": diff,
    }


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        required_if=[("state", "present", ("src",)), ("state", "absent", ("src", "dest"), True)],
        mutually_exclusive=[("split", "part_size")],
        supports_check_mode=True,
    )
    _options.require_libraries(module)
    try:
        facts = run(module)
    except UploadError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(**facts)


if __name__ == "__main__":
    main()
