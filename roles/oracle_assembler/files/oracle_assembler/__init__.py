# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The service that receives a file in sealed parts and publishes it whole.

Layers, each of which imports only the next to the right: ``__main__ -> web -> uploads -> store -> _sealed``.
``problems`` (errors with their HTTP answer) may be imported by all.
"""

from __future__ import annotations

__version__ = "1.0.0"
