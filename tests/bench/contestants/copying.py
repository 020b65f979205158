"""Ansible's own ways to bring a file to a host: ansible.builtin.copy and ansible.posix.synchronize, as they come and tuned."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from ..contest import Contestant, Sample, durable, sample
from ..load import Load
from ..servers import Ssh
from . import playbook

COPYING = "ansible.builtin.copy"
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
    found = [Contestant("copy, local", "ansible", _sender(COPYING, target, "localhost", dict(os.environ)), target, many=False)]
    if ssh is None:
        return found
    ways = {"as it comes": ssh.environment, "tuned": {**ssh.environment, **TUNED}}
    for way, environment in ways.items():
        send = _sender(COPYING, target, ssh.host, environment, server=[ssh.pid])
        found.append(Contestant(f"copy over ssh, {way}", "ansible", send, target, most=few))
    for way, environment in ways.items() if synchronize else ():
        options = WHOLE if way == "tuned" else {}
        send = _sender("ansible.posix.synchronize", target, ssh.host, environment, server=[ssh.pid], options=options)
        # rsync sends a folder in one go: it need not be spared any files.
        found.append(Contestant(f"synchronize, {way}", "ansible", send, target))
    return found


def _sender(
    module: str,
    target: Path,
    host: str,
    environment: dict[str, str],
    *,
    server: Sequence[int] = (),
    options: Mapping[str, object] = MappingProxyType({}),
) -> Callable[[Load], Sample]:
    def send(load: Load) -> Sample:
        # With a slash at its end a folder stands for all that is in it.
        source = f"{load.folder}/" if load.files > 1 else str(load.sources[0])
        words = {"src": source, "dest": f"{target}/", **options}
        return sample(playbook.adhoc(module, words, host, environment, server=server, settle=durable(target)))

    return send
