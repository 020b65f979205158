#!/usr/bin/python
# Copyright (c) 2026, the bigfile.oci founders
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: oci_upload_folder
short_description: Make or delete a folder on the service that receives uploads
version_added: 1.0.0
author:
  - The bigfile.oci founders (@bigfile-oci)
description:
  - Makes or deletes a folder below the folder of the user on an Oracle Cloud host on which the role P(bigfile.oci.oracle_assembler#role) runs.
  - M(bigfile.oci.oci_chunked_upload) makes the folders it needs by itself.
options:
  path:
    description:
      - The folder, as a path below the folder of the user.
    type: str
    required: true
  state:
    description:
      - V(present) makes the folder and those it is in, V(absent) deletes it.
    type: str
    choices: [present, absent]
    default: present
  recursive:
    description:
      - Whether O(state=absent) deletes a folder that is not empty, with all that is in it.
    type: bool
    default: false
extends_documentation_fragment:
  - bigfile.oci.attributes
  - bigfile.oci.connection
seealso:
  - module: bigfile.oci.oci_chunked_upload
"""

EXAMPLES = r"""
- name: Make a folder for this month
  bigfile.oci.oci_upload_folder:
    endpoint: https://db1.example:8443
    username: dba
    password: "{{ vault_dba_password }}"
    path: dumps/2026-11

- name: Delete last year's, with all that is in it
  bigfile.oci.oci_upload_folder:
    endpoint: https://db1.example:8443
    username: dba
    password: "{{ vault_dba_password }}"
    path: dumps/2025
    state: absent
    recursive: true
"""

RETURN = r"""
path:
  description: The folder, below the folder of the user.
  returned: success
  type: str
  sample: dumps/2026-11
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _options
from ..module_utils._errors import UploadError
from ..module_utils._file_upload import FileUpload
from ..module_utils._names import destination

ARGUMENT_SPEC = {
    "path": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "recursive": {"type": "bool", "default": False},
    **_options.connection_spec(),
}


def run(module: AnsibleModule, client: FileUpload) -> dict[str, t.Any]:
    """See to it that the folder is there, or is not."""
    path = destination("", module.params["path"].rstrip("/"))
    wanted = module.params["state"] == "present"
    there = client.folder_exists(path)
    if there != wanted and not module.check_mode:
        if wanted:
            client.create_folder(path)
        else:
            client.delete_folder(path, recursive=module.params["recursive"])
    states = {True: "present\n", False: "absent\n"}
    diff = {"before_header": path, "after_header": path, "before": states[there], "after": states[wanted]}
    return {"changed": there != wanted, "path": path, "diff": diff}


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    _options.require_libraries(module)
    try:
        facts = run(module, _options.service(module).client)
    except UploadError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(**facts)


if __name__ == "__main__":
    main()
