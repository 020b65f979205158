# Copyright (c) 2026, the bigfile.oci founders
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules support, said once."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes of all modules, and the journal of those that have one."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target or the service.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: full
  platform:
    description: Target OS or platform that can run the module.
    support: full
    platforms: posix
"""

    ACTION = r"""
attributes:
  action:
    description: Has an action plugin of the same name, so part of it runs on the control node.
    support: full
  async:
    description: Supports being run with the C(async) keyword.
    support: full
"""

    JOURNAL = r"""
options:
  journal:
    description:
      - File in which the pending uploads of this host and the digests of its unchanged files are noted. It is made with mode V(0600),
        its folder with V(0700). It holds the random keys of pending uploads, never a password, a token or a key that the user gave.
      - A damaged journal is set aside with a warning.
      - Falls back to E(BIGFILE_JOURNAL), then to C(bigfile.oci/journal.db) below E(XDG_STATE_HOME) or C(~/.local/state).
    type: path
"""
