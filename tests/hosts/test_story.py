"""An assembler's life on a host, from bare to removed, told in order: each test goes on where the one before it ended.

Uploads are slow while something happens to the host, so that it happens in the middle of one.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import ssl
import time
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ansible_collections.bigfile.oci.tests.integration.conftest import until

from .conftest import ROLE, ROOT, Control
from .machines import Host, Site

DATA = "/var/lib/oracle_assembler/data/dba"
BIG = "/home/opc/full.dmp"
SIZE = 1 << 30

IPTABLES = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:InstanceServices - [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
-A OUTPUT -d 169.254.0.0/16 -j InstanceServices
-A InstanceServices -d 169.254.0.2/32 -p tcp -m owner --uid-owner 0 -m tcp --dport 3260 -m comment --comment "boot volume" -j ACCEPT
COMMIT
"""
NFTABLES = """flush ruleset
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state vmap { established : accept, related : accept, invalid : drop }
        iif lo accept
        tcp dport 22 accept
    }
}
table ip second {
    chain input { type filter hook input priority 10; tcp dport 22 accept; jump refused; }
    chain refused { reject; }
}
table inet bans {
    chain input { type filter hook input priority -1; ip saddr 192.0.2.1 drop; }
}
"""


@pytest.fixture
def assembler(site: Site) -> Host:
    return site.hosts["assembler"]


@pytest.fixture
def uploader(site: Site) -> Host:
    return site.hosts["uploader"]


def sha256(host: Host, path: str) -> str:
    return host.call(f"sha256sum {path}").split()[0]


def release(host: Host) -> str:
    return host.call("readlink -f /opt/oracle_assembler/current")


def pid(host: Host) -> int:
    return int(host.call("systemctl show --property=MainPID --value oracle_assembler"))


def reaches(client: Host | None, host: Host, within: float = 0) -> bool:
    """Whether the port of the service lets a host in, or us; ``within``: seconds to wait for that."""
    connect = f'import socket; socket.create_connection(("{host.address}", 8443), 3)'
    deadline = time.monotonic() + within
    while True:
        with contextlib.suppress(OSError):
            if client is None:
                socket.create_connection((host.address, 8443), 3).close()
            elif client.status(f"python3 -c '{connect}'"):
                raise ConnectionError
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)


def rules(saved: str) -> list[str]:
    return [line for line in saved.splitlines() if line.startswith("-A")]


def without_ours(saved: str) -> str:
    return "".join(line for line in saved.splitlines(keepends=True) if "oracle_assembler:" not in line)


@contextlib.contextmanager
def slow(host: Host, rate: str = "8mbit") -> t.Iterator[None]:
    """Whatever the host sends meanwhile, it sends slowly."""
    host.call(f"tc qdisc add dev host0 root tbf rate {rate} burst 64kb latency 1s")
    try:
        yield
    finally:
        host.call("tc qdisc delete dev host0 root")


@contextlib.contextmanager
def mid_upload(control: Control, name: str) -> t.Iterator[None]:
    """The inside runs in the middle of an upload of 256 MiB, which must go on by itself and end with the very bytes of the source."""
    uploader, assembler = control.site.hosts["uploader"], control.site.hosts["assembler"]
    uploader.call(f"head -c 256M /dev/urandom >/home/opc/{name} && chown opc /home/opc/{name}")
    with slow(uploader, "4mbit"):  # 500 s of it: a role takes minutes on a slow machine
        process = control.start_upload(f"/home/opc/{name}", part_size="5M")
        parts = f"ls {DATA}/.*.partial {DATA}/.*.segments/* >/dev/null 2>&1"
        until(lambda: process.poll() is not None or assembler.status(parts) == 0, 180)  # one is there and others are on their way
        time.sleep(2)
        try:
            yield
            assert process.poll() is None, f"the upload was over before all had happened: {control.finish(process).output}"
        except BaseException:
            process.terminate()
            raise
    outcome = control.finish(process)
    assert outcome.code == 0, outcome.output
    assert sha256(assembler, f"{DATA}/{name}") == sha256(uploader, f"/home/opc/{name}")
    uploader.call(f"rm /home/opc/{name}")


def test_no_host_has_a_way_to_the_internet(site: Site) -> None:
    for host in site.hosts.values():
        assert host.call("ip route show default; ip -6 route show default") == ""
        assert "unreachable" in host.call("python3 -c 'import socket; socket.create_connection((\"1.1.1.1\", 443), 5)' 2>&1", check=False)
        assert host.status("getent hosts deb.debian.org") != 0


def test_hosts_are_real_and_each_its_own(site: Site) -> None:
    hosts = site.hosts.values()
    assert {host.call("systemctl is-system-running") for host in hosts} == {"running"}
    assert len({host.call("cat /etc/machine-id") for host in hosts}) == len(hosts)
    assert len({host.call("cat /etc/ssh/ssh_host_ed25519_key.pub") for host in hosts}) == len(hosts)


def test_check_mode_on_a_bare_host_works_and_makes_nothing(control: Control, assembler: Host, uploader: Host) -> None:
    outcome = control.deploy_all("--check", "--diff")
    assert all(outcome.changed(name) > 0 for name in ("assembler", "newer", "uploader"))
    assert assembler.status("ls -d /opt/oracle_assembler /etc/oracle_assembler /var/lib/oracle_assembler") != 0
    assert assembler.status("getent passwd oracle_assembler") != 0
    assert uploader.status("ls -d /opt/upload_client") != 0


def test_one_run_brings_bare_hosts_to_health_over_tls(control: Control, site: Site) -> None:
    outcome = control.deploy_all("--diff")
    print(f"bare to healthy, and the libraries of uploads on a third host: {outcome.seconds:.0f} s")
    control.learn_secrets()
    control.trust(site.hosts["assembler"].call("cat /etc/oracle_assembler/self_signed.pem"))
    health = "import ssl, urllib.request as u; c = ssl.create_default_context(cafile='/etc/bigfile-ca.pem'); "
    ask = f'{health} print(u.urlopen("https://{site.hosts["assembler"].address}:8443/healthz", context=c).status)'
    assert site.hosts["uploader"].call(f"python3 -c '{ask.replace(chr(39), chr(34))}'") == "200"


def test_the_second_run_and_check_mode_change_nothing(control: Control, assembler: Host) -> None:
    before = pid(assembler), release(assembler)
    second = control.deploy_all("--diff")
    print(f"second run, three hosts: {second.seconds:.0f} s")
    check = control.deploy_all("--check", "--diff")
    assert [outcome.changed(name) for outcome in (second, check) for name in ("assembler", "newer", "uploader")] == [0] * 6
    assert (pid(assembler), release(assembler)) == before


def test_packages_come_from_the_distribution_when_asked_for(control: Control, site: Site) -> None:
    newer = site.hosts["newer"]
    assert newer.status("python3 -m ensurepip --version") != 0
    newer.call("touch /var/lib/apt/lists")  # no older than the packages that the root has in store
    asked = {"hosts": "newer", "oracle_assembler_tls_self_signed": True, "oracle_assembler_packages": True}
    assert control.deploy(**asked).changed("newer") == 1
    assert newer.status("python3 -m ensurepip --version") == 0
    assert control.deploy(**asked).changed("newer") == 0


def test_a_gibibyte_arrives_from_the_other_host(control: Control, assembler: Host, uploader: Host) -> None:
    uploader.call(f"head -c {SIZE} /dev/urandom >{BIG} && chown opc {BIG}")
    outcome = control.upload(BIG)
    print(f"1 GiB in {outcome.seconds:.0f} s")
    assert outcome.changed("uploader") == 1
    assert sha256(assembler, f"{DATA}/full.dmp") == sha256(uploader, BIG)
    assert control.upload(BIG).changed("uploader") == 0


def test_an_ordinary_user_gets_the_libraries_too(control: Control, site: Site) -> None:
    newer, folder = site.hosts["newer"], "/home/opc/.local/share/upload_client"
    assert control.libraries(hosts="newer", become=False).changed("newer") > 0
    assert newer.call(f"runuser -u opc -- {folder}/current/venv/bin/python -c 'import Crypto, filechunkio, pickledb, requests'") == ""
    assert newer.call(f"find {folder} ! -user opc") == ""
    assert control.libraries(hosts="newer", become=False).changed("newer") == 0
    assert newer.status("ls -d /opt/upload_client") != 0
    control.libraries(hosts="newer", become=False, upload_client_state="absent")
    assert newer.status(f"ls -d {folder}") != 0


def test_the_database_user_reads_what_is_published(assembler: Host) -> None:
    assert assembler.call(f"stat -c '%U:%G %a' {DATA}/full.dmp") == "oracle_assembler:oinstall 640"
    assert assembler.call(f"runuser -u oracle -- head -c 1 {DATA}/full.dmp | wc -c") == "1"
    assert assembler.status(f"runuser -u opc -- head -c 1 {DATA}/full.dmp") != 0


def test_the_unit_is_hardened(assembler: Host) -> None:
    rating = assembler.call("systemd-analyze security --no-pager oracle_assembler | tail -n 1")
    found = re.search(r": (\d+\.\d+) ", rating)
    assert found, rating
    print(f"systemd-analyze security: {found[1]}")
    assert float(found[1]) <= 2.5


def test_a_killed_service_is_back_and_the_upload_goes_on(control: Control, assembler: Host) -> None:
    with mid_upload(control, "killed.dmp"):
        killed = pid(assembler)
        assembler.call(f"kill -KILL {killed}")
        time.sleep(5)
        assert pid(assembler) not in (0, killed)


def test_a_host_that_loses_its_power_comes_back_and_the_upload_goes_on(control: Control, assembler: Host) -> None:
    with mid_upload(control, "power.dmp"):
        assembler.cut_off()
        time.sleep(2)
        assembler.boot()
    assert sha256(assembler, f"{DATA}/full.dmp") == sha256(control.site.hosts["uploader"], BIG)


def test_a_host_that_is_rebooted_comes_back_and_the_upload_goes_on(control: Control, assembler: Host) -> None:
    with mid_upload(control, "rebooted.dmp"):
        assembler.reboot()
        until(lambda: assembler.status("systemctl is-active oracle_assembler") == 0)


def test_a_given_certificate_is_renewed_in_mid_upload(control: Control, assembler: Host) -> None:
    control.variables.update(control.certify())
    control.deploy("--diff")
    control.trust(control.authority.read_text())
    with mid_upload(control, "renewed.dmp"):
        before, served_by = assembler.call("cat /etc/oracle_assembler/given.pem"), pid(assembler)
        control.certify()
        assert control.deploy("--diff").changed("assembler") > 0
        assert assembler.call("cat /etc/oracle_assembler/given.pem") != before
        assert pid(assembler) == served_by, "a renewal is no restart"


def test_an_upgrade_in_mid_upload(control: Control, assembler: Host) -> None:
    def change(collection: Path) -> None:
        with (collection / ROLE / "files/oracle_assembler/__init__.py").open("a") as file:
            file.write("# another version\n")

    before = release(assembler)
    with mid_upload(control, "upgraded.dmp"):
        control.deploy(collections=control.another_release(change))
        assert release(assembler) != before


def test_a_failed_upgrade_in_mid_upload_leaves_the_old_version_running(control: Control, assembler: Host) -> None:
    def change(collection: Path) -> None:
        with (collection / ROLE / "files/requirements.lock").open("a") as file:
            file.write(f"bigfile-has-no-such-package==1 \\\n    --hash=sha256:{'0' * 64}\n")

    before = pid(assembler), release(assembler)
    with mid_upload(control, "failed.dmp"):
        outcome = control.role(collections=control.another_release(change))
        assert outcome.code != 0
        assert (pid(assembler), release(assembler)) == before


def test_a_release_that_does_not_get_well_is_taken_back_in_mid_upload(control: Control, assembler: Host) -> None:
    def change(collection: Path) -> None:
        with (collection / ROLE / "files/oracle_assembler/web/server.py").open("a") as file:
            file.write("\n\nasync def serve(*_anything: object) -> None:\n    raise RuntimeError('no service today')\n")

    before = release(assembler)
    with mid_upload(control, "back.dmp"):
        outcome = control.role(collections=control.another_release(change))
        assert outcome.code != 0
        assert (
            "does not get well" in outcome.output and "What ran before is back" in outcome.output and "no service today" in outcome.output
        )
        assert release(assembler) == before


def test_a_service_that_hangs_is_replaced(assembler: Host) -> None:
    drop_in = "/run/systemd/system/oracle_assembler.service.d"
    assembler.call(f"mkdir {drop_in} && printf '[Service]\\nWatchdogSec=3\\n' >{drop_in}/impatient.conf && systemctl daemon-reload")
    assembler.call("systemctl restart oracle_assembler")
    hung = pid(assembler)
    assembler.call(f"kill -STOP {hung}")
    until(lambda: pid(assembler) not in (0, hung) and assembler.status("systemctl is-active oracle_assembler") == 0)
    assembler.call(f"rm -r {drop_in} && systemctl daemon-reload && systemctl restart oracle_assembler")


def test_who_may_not_is_told_so(control: Control, site: Site) -> None:
    """The control node asks by itself, with no module in between."""
    context = ssl.create_default_context(cafile=str(control.authority))

    def ask(route: str, token: str | None = None, **body: str) -> tuple[int, dict[str, t.Any], t.Mapping[str, str]]:
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        request = urllib.request.Request(
            f"https://{site.hosts['assembler'].address}:8443{route}", json.dumps(body).encode() if body else None, headers
        )
        try:
            with urllib.request.urlopen(request, timeout=20, context=context) as answer:
                return answer.status, json.load(answer), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, json.load(error), error.headers

    guest = {"name": "guest", "password": "{{ lookup('ansible.builtin.env', 'HOSTS_PASSWORD') }}"}
    control.variables["oracle_assembler_users"] = [*control.variables["oracle_assembler_users"], guest]
    control.deploy(oracle_assembler_token_lifetime=2)
    token = str(ask("/v1/token", username="guest", password=control.password)[1]["token"])
    assert ask("/v1/files/full.dmp")[0] == 401
    assert ask("/v1/files/full.dmp", token)[0] == 404, "a user's folder is all that a user sees"
    assert ask("/v1/files/..%2Fdba%2Ffull.dmp", token)[0] == 422
    time.sleep(3)
    assert ask("/v1/files/full.dmp", token)[0] == 401
    refusals = [ask("/v1/token", username="guest", password="wrong") for _attempt in range(12)]
    assert {code for code, _body, _headers in refusals} == {401, 429}
    assert int(next(headers["Retry-After"] for code, _body, headers in refusals if code == 429)) > 0
    control.deploy()


def test_a_folder_that_fills_up_in_mid_upload(control: Control, assembler: Host, uploader: Host) -> None:
    """A client that begins is refused, one in mid-upload stops; both go well after room was made."""
    folder = DATA.replace("/dba", "/guest")
    assembler.call(f"mount -t tmpfs -o size=192M,mode=0750 tmpfs {folder} && chown oracle_assembler:oinstall {folder}")
    sizes = {"early": "96M", "late": "64M"}
    for name, size in sizes.items():
        uploader.call(f"head -c {size} /dev/urandom >/home/opc/{name}.dmp && chown opc /home/opc/{name}.dmp")
    with slow(uploader):
        early = control.start_upload("/home/opc/early.dmp", username="guest", part_size="8M")
        until(lambda: early.poll() is not None or assembler.status(f"ls {folder}/.*.partial >/dev/null 2>&1") == 0)
        assert assembler.status(f"dd if=/dev/zero of={folder}/filler bs=1M 2>/dev/null") != 0
        late = control.start_upload("/home/opc/late.dmp", username="guest")
        for outcome in (control.finish(early), control.finish(late)):
            assert outcome.code != 0 and "make room on the server" in outcome.output and "HTTP 507" in outcome.output, outcome.output
    assembler.call(f"rm {folder}/filler")
    for name in sizes:
        control.upload(f"/home/opc/{name}.dmp", username="guest")
        assert sha256(assembler, f"{folder}/{name}.dmp") == sha256(uploader, f"/home/opc/{name}.dmp")
    assembler.call(f"umount {folder}")


def test_firewalls_open_for_the_sources_that_are_given_and_nobody_else(control: Control, site: Site) -> None:
    """iptables on one host, as images of Ubuntu for Oracle Cloud have them, and firewalld on the other, as those of Oracle Linux."""
    uploader, iptables, firewalld = site.hosts["uploader"], site.hosts["assembler"], site.hosts["newer"]
    (iptables.root / "etc/iptables/rules.v4").write_text(IPTABLES)
    iptables.call("systemctl --quiet enable --now netfilter-persistent")
    firewalld.call("systemctl --quiet enable --now firewalld && firewall-cmd --quiet --add-port=9999/tcp")
    assert not any(reaches(client, host) for client in (uploader, None) for host in (iptables, firewalld))

    both, sources = "assembler,newer", [f"{uploader.address}/32", "2001:db8::/32"]
    check = control.deploy("--check", hosts=both, oracle_assembler_allowed_sources=sources)
    assert check.changed("assembler") > 0 and check.changed("newer") > 0
    assert not any(reaches(uploader, host) for host in (iptables, firewalld))
    outcome = control.deploy(hosts=both, oracle_assembler_allowed_sources=sources)
    assert all(reaches(uploader, host) and not reaches(None, host) for host in (iptables, firewalld))
    assert outcome.output.count("security list or network security group") == 2
    again = control.deploy(hosts=both, oracle_assembler_allowed_sources=sources)
    print(f"second run with a firewall, two hosts at once: {again.seconds:.0f} s")
    assert again.changed("assembler") == again.changed("newer") == 0

    control.deploy(hosts=both, oracle_assembler_allowed_sources=[site.address])
    assert all(reaches(None, host) and not reaches(uploader, host) for host in (iptables, firewalld))
    assert without_ours((iptables.root / "etc/iptables/rules.v4").read_text()) == IPTABLES
    assert rules(without_ours(iptables.call("iptables-save"))) == rules(IPTABLES)
    assert firewalld.call("firewall-cmd --list-ports") == "9999/tcp", "what others opened for now stays open"


def test_a_reboot_keeps_what_firewalls_open(site: Site) -> None:
    hosts = site.hosts["assembler"], site.hosts["newer"]
    for host in hosts:
        host.cut_off()
        host.boot()
    assert all(reaches(None, host, within=30) and not reaches(site.hosts["uploader"], host) for host in hosts)


def test_firewalls_close_when_the_service_goes_or_withdraws_to_loopback(control: Control, site: Site) -> None:
    assembler, newer = site.hosts["assembler"], site.hosts["newer"]
    state = "{{ 'absent' if inventory_hostname == 'newer' else 'present' }}"
    control.deploy(hosts="assembler,newer", oracle_assembler_state=state, oracle_assembler_listen="127.0.0.1")
    assert (assembler.root / "etc/iptables/rules.v4").read_text() == IPTABLES
    assert rules(assembler.call("iptables-save")) == rules(IPTABLES)
    assert newer.call("firewall-cmd --list-rich-rules; firewall-cmd --permanent --list-rich-rules") == ""
    assembler.call("systemctl --quiet disable --now netfilter-persistent && iptables -F && iptables -X && rm /etc/iptables/rules.v4")


def test_nftables_open_each_chain_that_refuses_and_no_other(site: Site) -> None:
    host = site.hosts["newer"]
    (host.root / "etc/nftables.conf").write_text(NFTABLES)
    shutil.copy(ROOT / ROLE / "files/firewall.py", host.root / "root/firewall.py")
    host.call(
        "systemctl --quiet disable --now firewalld && systemctl --quiet enable --now nftables"
        " && systemd-run -q --unit=listener python3 -m http.server 8443"
    )
    before = host.call("nft list ruleset")
    program = "python3 /root/firewall.py --port 8443 --source"
    assert not reaches(None, host)
    assert json.loads(host.call(f"{program} {site.address} --check"))["changed"]
    assert host.call("nft list ruleset") == before
    assert json.loads(host.call(f"{program} {site.address}"))["opened"] == ["nftables"]
    assert reaches(None, host, within=10) and not reaches(site.hosts["uploader"], host)
    assert not json.loads(host.call(f"{program} {site.address}"))["changed"]
    assert "oracle_assembler" not in host.call("nft list table inet bans")

    host.call("systemctl restart nftables")  # loads the file, as a boot does
    assert reaches(None, host) and not reaches(site.hosts["uploader"], host)
    assert json.loads(host.call("python3 /root/firewall.py"))["changed"]
    assert not reaches(None, host)
    assert host.call("nft list ruleset") == before
    assert (host.root / "etc/nftables.conf").read_text() == NFTABLES
    host.call("systemctl stop listener && systemctl --quiet disable --now nftables")
    assert host.call("nft list ruleset") == "", "these rules refuse the host the answers to what it asks itself, too"


def test_an_upload_through_nginx_with_the_block_from_the_documentation(control: Control, assembler: Host, uploader: Host) -> None:
    block = re.search(r"^```nginx\n(.*?)^```", (ROOT / "docs/operations.md").read_text(), re.MULTILINE | re.DOTALL)
    assert block, "docs/operations.md has no such block"
    (assembler.root / "etc/nginx/sites-enabled/default").unlink()
    (assembler.root / "etc/nginx/conf.d/assembler.conf").write_text(block[1])
    for suffix in ("pem", "key"):
        shutil.copy(control.folder / f"given.{suffix}", assembler.root / f"etc/nginx/assembler.{suffix}")
    plain = {name: value for name, value in control.variables.items() if not name.startswith("oracle_assembler_tls_")}
    control.variables = {**plain, "oracle_assembler_listen": "127.0.0.1"}
    control.deploy()
    assembler.call("systemctl start nginx")
    outcome = control.upload(BIG, dest="through.dmp", endpoint=f"https://{assembler.address}")
    print(f"1 GiB through nginx in {outcome.seconds:.0f} s")
    assert sha256(assembler, f"{DATA}/through.dmp") == sha256(uploader, BIG)
    assert assembler.status("grep -q buffered /var/log/nginx/error.log") != 0


def test_nothing_that_was_printed_or_logged_has_a_secret(control: Control, assembler: Host) -> None:
    """Nor did any process list, of the control node or of a host, while a play ran."""
    control.learn_secrets()
    everything = "\n".join([*control.outputs, *control.command_lines, assembler.call("journalctl --no-pager")])
    for searched in ("TASK [", "oracle_assembler", "ansible-playbook", "--require-hashes"):
        assert searched in everything, "else nothing was searched"
    assert len(control.secrets) > 10
    for hidden in control.secrets:
        assert hidden not in everything


def test_absent_leaves_only_the_data_and_purge_nothing(control: Control, assembler: Host) -> None:
    control.deploy(oracle_assembler_state="absent")
    gone = "ls -d /opt/oracle_assembler /etc/oracle_assembler /etc/systemd/system/oracle_assembler*"
    assert assembler.call(f"{gone} 2>/dev/null", check=False) == ""
    assert assembler.status("getent passwd oracle_assembler") != 0
    assert assembler.status("systemctl cat oracle_assembler") != 0
    assert assembler.call(f"stat -c %s {DATA}/full.dmp") == str(SIZE)
    assert control.deploy(oracle_assembler_state="absent").changed("assembler") == 0
    control.deploy(oracle_assembler_state="absent", oracle_assembler_purge=True)
    assert assembler.status("ls -d /var/lib/oracle_assembler") != 0


def test_absent_leaves_nothing_on_the_host_that_uploaded(control: Control, uploader: Host) -> None:
    assert control.libraries(upload_client_state="absent").changed("uploader") == 1
    assert uploader.status("ls -d /opt/upload_client") != 0
    assert control.libraries(upload_client_state="absent").changed("uploader") == 0
