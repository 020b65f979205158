"""Hosts to look around on: up, ssh NAME [COMMAND], down."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .machines import Site, obstacle

USAGE = "usage: up [NAME=RELEASE...] | ssh NAME [COMMAND...] | down"


def main(folder: Path, arguments: list[str]) -> str | None:
    """Do as the arguments say; what is wrong with them."""
    if reason := obstacle():
        return reason
    given = dict(word.split("=", 1) for word in arguments[1:] if arguments[0] == "up" and "=" in word)
    site = Site(folder, given or _there(folder) or {"assembler": "bookworm", "uploader": "bookworm"})
    match arguments:
        case ["up", *_]:
            site.up()
            for host in site.hosts.values():
                print(f"{host.name} ansible_host={host.address} ansible_ssh_common_args='-F {folder}/ssh_config'")
        case ["ssh", name, *command] if name in site.hosts:
            os.execvp("ssh", site.hosts[name].ssh(name, *command))
        case ["down"]:
            site.down()
        case _:
            return USAGE
    return None


def _there(folder: Path) -> dict[str, str]:
    """The hosts of a site that is up; their release matters no more."""
    return {path.parent.name: "" for path in sorted(folder.glob("*/etc"))}


if __name__ == "__main__":
    sys.exit(main(Path(os.environ["BIGFILE_BUILD"]) / "site", sys.argv[1:]))
