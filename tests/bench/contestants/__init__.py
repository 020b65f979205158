"""Everyone who takes part, and the servers that they need."""

from __future__ import annotations

import contextlib
import shutil
import typing as t
from pathlib import Path

from .. import ours, servers
from ..contest import Contestant, clear
from . import copying, limits, product, shell

TOOLS = ("sshd", "ssh", "scp", "sftp", "ssh-keygen", "rsync", "rclone", "nginx", "curl", "node", "openssl")
"""Programs that are not ours. Whoever needs one that is missing does not take part."""


def missing(tus: Path) -> list[str]:
    """The tools that are not there; ``tus`` is the folder with the tus server and its packages."""
    absent = [tool for tool in TOOLS if servers.tool(tool) is None]
    return absent if (tus / "node_modules").is_dir() else [*absent, "@tus/server"]


@contextlib.contextmanager
def everyone(room: Path, tus: Path, *, few: int) -> t.Iterator[list[Contestant]]:
    """All contestants that this machine has the tools for, with their servers running.

    :param room: all that they write goes below it, the files that are sent too
    :param tus: where the tus server is installed
    :param few: how many of many files Ansible is given
    """
    absent = set(missing(tus))

    def have(*tools: str) -> bool:
        return not absent & set(tools)

    # The same folder for all whose server lets us choose it.
    target, state = room / "landing", room / "servers"
    clear(target)
    shutil.rmtree(state, ignore_errors=True)
    certificate = ours.tls(room / "tls")
    found: list[Contestant] = []
    with contextlib.ExitStack() as stack:
        ssh = stack.enter_context(servers.sshd(state / "ssh")) if have("sshd", "ssh", "scp", "sftp", "ssh-keygen") else None
        found += stack.enter_context(product.contestants(state / "ours", certificate, ssh, few=few))
        if ssh:
            found += shell.over_ssh(ssh, target, rsync=have("rsync"))
        found += copying.contestants(target, ssh, few=few, synchronize=have("rsync"))
        if have("rclone"):
            found.append(shell.by_rclone(stack.enter_context(servers.rclone(state / "rclone", target)), target))
        if have("nginx", "curl"):
            found += shell.by_curl(stack.enter_context(servers.nginx(state / "nginx", target, certificate)), target, certificate)
        if have("node", "@tus/server"):
            found.append(shell.by_tus(stack.enter_context(servers.tus(state / "tus", tus, target)), target))
        found += stack.enter_context(limits.contestants(state / "limits", target))
        yield found
