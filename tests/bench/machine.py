"""What was measured on."""

from __future__ import annotations

import datetime
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


VERSIONS = {
    "OpenSSH": ["ssh", "-V"],
    "rsync": ["rsync", "--version"],
    "rclone": ["rclone", "--version"],
    "nginx": ["nginx", "-v"],
    "curl": ["curl", "--version"],
    "node": ["node", "--version"],
    "ansible-core": ["ansible", "--version"],
}
"""How each tool is asked."""


def described() -> dict[str, str]:
    """Processor, memory, system, the tools' versions, and the day, in words."""
    cpuinfo, meminfo = Path("/proc/cpuinfo").read_text(), Path("/proc/meminfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    memory = re.search(r"MemTotal:\s*(\d+)", meminfo)
    return {
        "processor": f"{model[1] if model else platform.machine()}, {cores()} cores",
        "memory": f"{int(memory[1]) / (1 << 20):.0f} GiB" if memory else "unknown",
        "system": f"Linux {platform.release()}, Python {platform.python_version()}",
        "tools": ", ".join(f"{name} {version}" for name in VERSIONS if (version := _version(VERSIONS[name]))),
        "taken": f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}",
    }


def _version(command: list[str]) -> str | None:
    path = f"{os.environ['PATH']}:/usr/sbin"
    if shutil.which(command[0], path=path) is None:
        return None
    said = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})
    found = re.search(r"\d+\.\d+[\w.]*", said.stdout + said.stderr)
    return found[0] if found else None
