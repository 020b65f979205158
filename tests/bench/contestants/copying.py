"""Ansible's own ways to bring a file to a host: ansible.builtin.copy and ansible.posix.synchronize, as they come and tuned."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..contest import Contestant, Sample, durable, sample
from ..load import Load
from ..servers import Ssh
from . import playbook

COPY = "copy over ssh, as it comes"
COPY_TUNED = "copy over ssh, tuned"

TUNED = {
    "ANSIBLE_PIPELINING": "true",
    "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s -o Compression=no -c aes256-gcm@openssh.com",
}
"""As it comes, Ansible asks ssh to compress."""
WHOLE = {"compress": False, "delay_updates": False, "use_ssh_args": True, "rsync_opts": ["--whole-file", "--inplace"]}
"""As it comes, synchronize asks rsync to compress, and to keep the file aside until the end."""


def contestants(target: Path, ssh: Ssh | None, *, few: int, synchronize: bool) -> list[Contestant]:
    """All that can run: over ssh if there is an sshd, and ``synchronize`` if there is an rsync. Of many files copy is given ``few``."""

    def contestant(name: str, module: str, host: str, environment: dict[str, str], *, most: int = few, **options: object) -> Contestant:
        server = [ssh.pid] if ssh and host == ssh.host else []

        def send(load: Load) -> Sample:
            # With a slash at its end a folder stands for all that is in it.
            source = f"{load.folder}/" if load.files > 1 else str(load.sources[0])
            words = {"src": source, "dest": f"{target}/", **options}
            return sample(playbook.adhoc(module, words, host, environment, server=server, settle=durable(target)))

        return Contestant(name, "ansible", send, target, most=most)

    found = [contestant("copy, local", "ansible.builtin.copy", "localhost", dict(os.environ))]
    tuned = {**ssh.environment, **TUNED} if ssh else {}
    if ssh:
        found.append(contestant(COPY, "ansible.builtin.copy", ssh.host, ssh.environment))
        found.append(contestant(COPY_TUNED, "ansible.builtin.copy", ssh.host, tuned))
    if ssh and synchronize:
        # rsync sends a folder in one go: it need not be spared any files.
        found.append(contestant("synchronize, as it comes", "ansible.posix.synchronize", ssh.host, ssh.environment, most=sys.maxsize))
        found.append(contestant("synchronize, tuned", "ansible.posix.synchronize", ssh.host, tuned, most=sys.maxsize, **WHOLE))
    return found
