# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The use cases: begin, receive, stitch, publish, abort, expire. Knows neither HTTP nor names on disk.

All state in memory is changed on the event loop alone; whatever touches the disk runs in a worker thread.
"""
