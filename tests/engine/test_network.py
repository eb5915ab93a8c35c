"""Names, addresses and rules of the sandboxes' network."""

from ipaddress import IPv4Network

import pytest

from hostd.engine import network
from hostd.engine.network import Network
from hostd.errors import Unavailable

NETWORK = Network("0badcafe", IPv4Network("100.70.0.0/16"), ("10.0.0.53",))


def test_a_free_subnet_overlaps_nothing() -> None:
    taken = [IPv4Network("100.64.0.0/11"), IPv4Network("100.96.7.0/24")]
    found = network.free_subnet(taken, "00000000")
    assert found == IPv4Network("100.97.0.0/16")


def test_two_installations_look_at_different_places_first() -> None:
    assert network.free_subnet([], "00000001") != network.free_subnet([], "00000002")


def test_a_machine_with_no_room_is_told_so() -> None:
    with pytest.raises(Unavailable, match="no private network is free"):
        network.free_subnet([IPv4Network("100.64.0.0/10"), IPv4Network("10.0.0.0/8")], "00000001")


def test_routes_are_read_without_the_default_one_and_the_own_bridge() -> None:
    routes = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "192.0.2.0/24", "dev": "eth0"},
        {"dst": "192.0.2.2", "dev": "eth0", "type": "local"},
        {"dst": "100.70.0.0/16", "dev": "hd-0badcafe"},
    ]
    assert [str(found) for found in network.routed(routes, "hd-0badcafe")] == ["192.0.2.0/24", "192.0.2.2/32"]


def test_only_resolvers_a_sandbox_can_reach_are_asked() -> None:
    text = "# nameserver 9.9.9.9\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 10.0.0.53\nnameserver\nsearch x\n"
    assert network.name_servers(text) == ("10.0.0.53",)
    assert len(network.name_servers("\n".join(f"nameserver 10.0.0.{n}" for n in range(9)))) == 3


def test_addresses_go_round_and_are_not_the_bridges() -> None:
    assert str(NETWORK.gateway) == "100.70.0.1"
    first = [NETWORK.address(number) for number in range(65_000)]
    assert len(set(first)) == 65_000
    assert NETWORK.gateway not in first
    assert NETWORK.subnet.broadcast_address not in first
    assert NETWORK.address(65_000) == first[0]


def test_names_of_links_fit_the_kernel() -> None:
    assert len(NETWORK.bridge) <= 15
    assert len(NETWORK.link(10**9)) <= 15


def test_a_slots_port_is_isolated_from_the_others() -> None:
    outside, inside = network.slot_commands(NETWORK, 7)
    assert "type bridge_slave isolated on" in outside
    assert "addr add 100.70.0.9/16 dev eth0" in inside


def test_the_firewall_closes_the_machine_and_private_networks() -> None:
    rules = network.firewall(NETWORK, ["192.0.2.0/24", "192.168.7.0/24"])
    assert "table inet hostd_0badcafe" in rules
    for closed in ("10.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16", "192.0.2.0/24", "224.0.0.0/3"):
        assert closed in rules
    assert "192.168.7.0/24" not in rules  # it is within another: a set must not overlap
    assert "ip daddr { 10.0.0.53 } meta l4proto { tcp, udp } th dport 53 accept" in rules


def test_without_resolvers_nothing_of_the_machine_is_open() -> None:
    rules = network.firewall(Network("0badcafe", NETWORK.subnet, ()), [])
    assert "dport 53" not in rules
