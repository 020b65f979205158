# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

from hypothesis import settings

settings.register_profile("bigfile", deadline=None, database=None)  # a busy machine is no failure, and nothing is written
settings.load_profile("bigfile")
