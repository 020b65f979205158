# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is read of a firewall, and what is made of it. That the kernel and firewalld take it so is seen on real hosts, in tests/hosts."""

from __future__ import annotations

import typing as t

import pytest

from firewall import (
    Chain,
    Ruleset,
    firewalld_change,
    iptables_change,
    iptables_refuses,
    iptables_saved,
    nftables_saved,
    openings,
    rich_rule,
)

UBUNTU = """# rules of an image for Oracle Cloud
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [463:49013]
:InstanceServices - [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A OUTPUT -d 169.254.0.0/16 -j InstanceServices
-A InstanceServices -d 169.254.0.2/32 -p tcp -m tcp --dport 3260 -m comment --comment "See the documentation's \\"images\\"" -j ACCEPT
COMMIT
"""
RULE = "-s 10.0.0.0/16 -p tcp -m tcp --dport 8443 -m comment --comment oracle_assembler:8443:10.0.0.0/16 -j ACCEPT"
PORT = openings(8443, ["10.0.0.0/16"])


def table(*rules: str, policy: str = "ACCEPT") -> list[str]:
    return [f":INPUT {policy} [0:0]", ":f2b-sshd - [0:0]", *rules]


def nft(*rules: dict[str, t.Any], policy: str = "accept", family: str = "inet", name: str = "input") -> dict[str, t.Any]:
    """A chain that decides on input, and rules in it; a rule may name another chain."""
    place = {"family": family, "table": "filter"}
    chain = {**place, "name": name, "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": policy}
    stand = [{"rule": {**place, "chain": name, "handle": number, **rule}} for number, rule in enumerate(rules, 10)]
    return {"nftables": [{"metainfo": {"json_schema_version": 1}}, {"chain": chain}, *stand]}


def match(left: object, right: object, op: str = "==") -> dict[str, t.Any]:
    return {"match": {"op": op, "left": left, "right": right}}


SADDR = {"payload": {"protocol": "ip", "field": "saddr"}}
DROP = {"expr": [{"drop": None}]}


def test_sources_are_spelt_as_firewalls_do_and_none_is_any() -> None:
    assert [opening.source for opening in openings(1, ["10.0.0.7", "2001:DB8::/32", "10.0.0.7/32"])] == ["10.0.0.7/32", "2001:db8::/32"]
    assert [opening.source for opening in openings(1, [])] == ["any"]
    assert openings(None, []) == []


def test_firewalld_gets_what_is_missing_and_loses_only_what_is_ours_and_no_longer_wanted() -> None:
    others = 'rule family="ipv4" source address="10.9.0.0/16" port port="8443" protocol="tcp" accept'
    old = openings(8443, [])[0]
    listed = f"{others}\n{rich_rule(old)}\n"
    assert firewalld_change(listed, PORT) == ([rich_rule(PORT[0])], [rich_rule(old)])
    assert firewalld_change(f"{others}\n{rich_rule(PORT[0])}\n", PORT) == ([], [])
    assert firewalld_change(listed, []) == ([], [rich_rule(old)])


def test_a_rule_of_firewalld_names_family_and_source_or_neither() -> None:
    assert 'family="ipv6" source address="2001:db8::/32"' in rich_rule(openings(8443, ["2001:db8::/32"])[0])
    assert "family" not in rich_rule(openings(8443, [])[0])


@pytest.mark.parametrize(
    "rules, refuses",
    [
        (table(), False),
        (table(policy="DROP"), True),
        (table("-A INPUT -j REJECT --reject-with icmp-host-prohibited"), True),
        (table("[3:180] -A INPUT -j DROP"), True),
        (table("-A INPUT -p tcp -j REJECT --reject-with tcp-reset"), True),
        (table("-A INPUT ! -s 10.0.0.0/8 -j DROP"), True),
        (table("-A INPUT -j hardened", "-A hardened -j DROP"), True),
        (table("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"), False),
        (table("-A INPUT -p tcp -j f2b-sshd", "-A f2b-sshd -s 192.0.2.1/32 -j REJECT", "-A f2b-sshd -j RETURN"), False),
        (table("-A INPUT -m set --match-set banned src -j DROP"), False),
        (table("-A FORWARD -j DROP"), False),
    ],
)
def test_iptables_that_refuse_whom_they_do_not_know_are_told_from_those_that_do_not(rules: list[str], refuses: bool) -> None:
    assert iptables_refuses(rules) is refuses


def test_iptables_get_the_rule_and_the_file_has_it_before_the_others() -> None:
    assert iptables_change(UBUNTU, PORT) == ([RULE], [])
    saved = iptables_saved(UBUNTU, PORT)
    assert saved.replace(f"-A INPUT {RULE}\n", "") == UBUNTU
    assert next(line for line in saved.splitlines() if line.startswith("-A")) == f"-A INPUT {RULE}"


def test_iptables_that_have_the_rule_are_left_alone() -> None:
    saved = iptables_saved(UBUNTU, PORT)
    assert iptables_change(saved, PORT) == ([], [])
    assert iptables_saved(saved, PORT) == saved


@pytest.mark.parametrize("quoted", ['"{}"', "{}"])
def test_iptables_lose_the_rule_as_it_was_saved(quoted: str) -> None:
    mark = "oracle_assembler:8443:10.0.0.0/16"
    saved = iptables_saved(UBUNTU, PORT).replace(mark, quoted.format(mark))
    other = openings(9443, [])
    assert iptables_change(saved, other).remove == [RULE.replace(mark, quoted.format(mark))]
    assert iptables_saved(iptables_saved(saved, other), []) == UBUNTU


def test_iptables_that_refuse_nothing_get_no_rule_and_lose_ours() -> None:
    harmless = UBUNTU.replace("-A INPUT -j REJECT --reject-with icmp-host-prohibited\n", "")
    assert iptables_change(harmless, PORT) == ([], [])
    assert (
        iptables_saved(iptables_saved(UBUNTU, PORT).replace("-A INPUT -j REJECT --reject-with icmp-host-prohibited\n", ""), PORT)
        == harmless
    )


def test_a_file_of_iptables_with_a_policy_alone_gets_the_rule_in_its_table() -> None:
    saved = "*nat\n:INPUT ACCEPT [0:0]\nCOMMIT\n*filter\n:INPUT DROP [0:0]\nCOMMIT\n"
    assert iptables_saved(saved, PORT) == saved.replace("DROP [0:0]\n", f"DROP [0:0]\n-A INPUT {RULE}\n")


@pytest.mark.parametrize(
    "listed, refuses",
    [
        (nft(), False),
        (nft(policy="drop"), True),
        (nft(DROP), True),
        (nft({"expr": [match({"meta": {"key": "l4proto"}}, "tcp"), {"reject": {"type": "tcp reset"}}]}), True),
        (nft({"expr": [{"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["invalid", {"drop": None}]]}}}]}), True),
        (nft({"expr": [match(SADDR, "10.0.0.0/8", "!="), {"drop": None}]}), True),
        (nft({"expr": [{"jump": {"target": "hardened"}}]}, {**DROP, "chain": "hardened"}), True),
        (nft({"expr": [{"jump": {"target": "counting"}}]}, {"expr": [{"counter": None}], "chain": "counting"}), False),
        (nft({"expr": [match(SADDR, "@banned"), {"drop": None}]}), False),
        (nft({"expr": [match({"payload": {"protocol": "tcp", "field": "dport"}}, 22), {"accept": None}]}), False),
        (nft(DROP, family="bridge"), False),
        (nft(DROP, family="ip", name="INPUT"), False),
    ],
)
def test_chains_of_nftables_that_refuse_whom_they_do_not_know_are_found(listed: dict[str, t.Any], refuses: bool) -> None:
    assert bool(Ruleset(listed, {Chain("ip", "filter", "INPUT")}).refusing()) is refuses


def test_nftables_get_the_rule_once_and_lose_it_by_its_handle() -> None:
    added = 'insert rule inet filter input ip saddr 10.0.0.0/16 tcp dport 8443 accept comment "oracle_assembler:8443:10.0.0.0/16"'
    ours = {"comment": "oracle_assembler:8443:10.0.0.0/16", "expr": [{"accept": None}]}
    assert Ruleset(nft(DROP), ()).change(PORT) == ([added], [])
    assert Ruleset(nft(ours, DROP), ()).change(PORT) == ([], [])
    assert Ruleset(nft(ours, DROP), ()).change([]) == ([], ["delete rule inet filter input handle 10"])


def test_a_chain_of_one_family_gets_the_sources_of_that_family() -> None:
    both = openings(8443, ["10.0.0.0/16", "2001:db8::/32"])
    added = {family: Ruleset(nft(DROP, family=family), ()).change(both).add for family in ("ip", "ip6", "inet")}
    assert {family: len(rules) for family, rules in added.items()} == {"ip": 1, "ip6": 1, "inet": 2}
    assert "ip6 saddr 2001:db8::/32" in added["ip6"][0]


def test_the_file_of_nftables_has_the_rules_at_its_end_and_is_as_before_without_them() -> None:
    file = "flush ruleset\ntable inet filter { chain input { type filter hook input priority 0; policy drop; }; }\n"
    saved = nftables_saved(file, [Chain("inet", "filter", "input")], PORT)
    assert saved.startswith(file) and saved.count("insert rule inet filter input") == 1
    assert nftables_saved(saved, [Chain("inet", "filter", "input")], PORT) == saved
    assert nftables_saved(saved, [], []) == file
