"""The round trip with real ansible commands: ad-hoc, a playbook, module defaults, check mode, a second run.

Uses the ansible of the environment that runs pytest, so the same file serves every ansible-core and Python of the matrix.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Client, MiB, Service, make_file, sha256_of

BIN = Path(sys.executable).parent


def collections_path() -> str:
    """The folder that holds ``ansible_collections``."""
    import ansible_collections.bigfile.oci.plugins.module_utils as found

    return str(Path(next(iter(found.__path__))).parents[4])


def control_environment(client: Client, **more: str) -> dict[str, str]:
    """What ansible commands run with."""
    home = client.folder / "home"
    home.mkdir(exist_ok=True)
    return {
        **client.environment(),
        "HOME": str(home),
        "ANSIBLE_HOME": str(home / ".ansible"),
        "ANSIBLE_COLLECTIONS_PATH": collections_path(),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOG_PATH": str(client.folder / "ansible.log"),
        **more,
    }


def ansible(client: Client, command: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(BIN / command), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
        env=control_environment(client, **environment),
        cwd=client.folder,
        check=False,
    )
    with client.transcript.open("a") as transcript:
        transcript.write(done.stdout + done.stderr)
    return done


def test_ad_hoc_with_the_rest_in_the_environment(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "adhoc.bin", 40 * MiB)
    for word in ("CHANGED", "SUCCESS"):
        done = ansible(
            client,
            "ansible",
            "localhost",
            "-m",
            "bigfile.oci.oci_chunked_upload",
            "-a",
            f"src={source} dest=adhoc/x.bin",
            "-vvv",
        )
        assert done.returncode == 0 and f"localhost | {word} =>" in done.stdout, done.stdout + done.stderr
    assert sha256_of(service.root / "adhoc" / "x.bin") == sha256_of(source)


def test_ad_hoc_with_nothing_but_a_source(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "alone.bin", 1000)
    done = ansible(client, "ansible", "localhost", "-m", "bigfile.oci.oci_chunked_upload", "-a", f"src={source}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sha256_of(service.root / "alone.bin") == sha256_of(source)


PLAYBOOK = """
- name: Round trip
  hosts: localhost
  gather_facts: false
  module_defaults:
    group/bigfile.oci.bigfile:
      endpoint: "{{ endpoint }}"
      username: dba
      password: "{{ lookup('ansible.builtin.env', 'THE_PASSWORD') }}"
  tasks:
    - name: A folder
      bigfile.oci.oci_upload_folder:
        path: play
    - name: Files of all ways
      bigfile.oci.oci_chunked_upload:
        src: "{{ src }}"
        dest: "play/{{ item.name }}"
        encrypt: "{{ item.encrypt | default(true) }}"
        release_key: "{{ item.release_key | default('with_parts') }}"
        split: 4
      loop:
        - {name: a.bin}
        - {name: b.bin, release_key: at_stitch}
        - {name: c.bin, encrypt: false}
      register: sent
    - name: What is there
      bigfile.oci.oci_chunked_upload_info:
        path: play/b.bin
      register: told
    - name: It is there
      ansible.builtin.assert:
        that:
          - ansible_check_mode or told.file.size == sent.results[1].size
          - told.pending == []
"""


def play(client: Client, service: Service, source: Path, *options: str) -> int:
    """Run the playbook; how many tasks changed something."""
    playbook = client.folder / "play.yml"
    playbook.write_text(PLAYBOOK)
    facts = ("-e", f"endpoint={service.url}", "-e", f"src={source}")
    done = ansible(client, "ansible-playbook", str(playbook), *facts, *options, THE_PASSWORD=service.password)
    recap = re.search(r"^localhost +: ok=\d+ +changed=(\d+) ", done.stdout, re.MULTILINE)
    assert done.returncode == 0 and recap, done.stdout + done.stderr
    return int(recap[1])


def test_a_playbook_uploads_then_changes_nothing_and_check_mode_tells_both(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "played.bin", 24 * MiB)
    foreseen = play(client, service, source, "--check", "--diff")
    assert foreseen == 2 and not (service.root / "play").exists()
    assert play(client, service, source) == 2
    assert play(client, service, source) == 0
    assert play(client, service, source, "--check", "--diff") == 0
    for name in "abc":
        assert sha256_of(service.root / "play" / f"{name}.bin") == sha256_of(source)


def test_the_upload_playbook_of_the_collection_runs_by_its_name(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "byname.bin", 6 * MiB)
    done = ansible(client, "ansible-playbook", "bigfile.oci.upload", "-e", f"src={source}", "-e", "dest=by/name.bin")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sha256_of(service.root / "by" / "name.bin") == sha256_of(source)


@pytest.mark.parametrize("verbosity", ["-v", "-vvvv"])
def test_no_secret_is_shown_however_much_is_asked(client: Client, service: Service, work: Path, verbosity: str) -> None:
    source = make_file(work / "secret.bin", 1000)
    done = ansible(
        client,
        "ansible",
        "localhost",
        verbosity,
        "-m",
        "bigfile.oci.oci_chunked_upload",
        "-a",
        f"src={source} username=dba password={service.password}",
        ANSIBLE_KEEP_REMOTE_FILES="0",
    )
    assert done.returncode == 0
    assert service.password not in done.stdout + done.stderr
    assert os.environ.get("BIGFILE_PASSWORD") is None
