"""The network of sandboxes: one bridge per installation, one network namespace and address per sandbox.

This file decides: names, addresses, firewall rules, the words for ip(8). slots.py does. IPv4 only. A sandbox reaches
the internet and the machine's name servers; never the machine itself, private networks, or another sandbox.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from hostd.errors import Unavailable

# RFC 6598 space first: rarely routed on a server; then RFC 1918's largest
_CANDIDATES = [
    *IPv4Network("100.64.0.0/10").subnets(new_prefix=16),
    *IPv4Network("10.0.0.0/8").subnets(new_prefix=16),
]
_FIRST_HOST, _HOSTS = 2, 65_000
FORBIDDEN = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",  # link-local: the metadata services of clouds
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/4",
    "240.0.0.0/4",
)


@dataclass(frozen=True, slots=True)
class Network:
    """An installation's network. `resolvers` are the name servers its sandboxes ask."""

    installation: str
    subnet: IPv4Network
    resolvers: tuple[str, ...]

    @property
    def bridge(self) -> str:
        """The bridge's name, at most 15 characters (IFNAMSIZ)."""
        return f"hd-{self.installation}"

    @property
    def hardware_address(self) -> str:
        """The bridge's: locally administered (the 2 in front), then `h` and the installation."""
        digits = self.installation
        return ":".join(["02", "68", *(digits[at : at + 2] for at in range(0, 8, 2))])

    @property
    def gateway(self) -> IPv4Address:
        """The machine's own address on the bridge."""
        return self.subnet[1]

    def address(self, number: int) -> IPv4Address:
        """The address of slot `number`: round robin, so that one is used again as late as possible."""
        return self.subnet[_FIRST_HOST + number % _HOSTS]

    def namespace(self, number: int) -> str:
        """The network namespace of slot `number`."""
        return f"{self.bridge}-{number}"

    def link(self, number: int) -> str:
        """The machine's end of slot `number`'s cable, at most 15 characters."""
        return f"v{self.installation}{number % _HOSTS:05d}"


def free_subnet(taken: Iterable[IPv4Network], seed: str) -> IPv4Network:
    """A /16 that overlaps none of `taken`; `seed` (hex) decides where to look first. Raises Unavailable."""
    used = list(taken)
    start = int(seed, 16) % 64
    for candidate in _CANDIDATES[start:64] + _CANDIDATES[:start] + _CANDIDATES[64:]:
        if not any(candidate.overlaps(network) for network in used):
            return candidate
    raise Unavailable("no private network is free on this machine", hint="see: ip route show table all")


def routed(routes: Iterable[dict[str, Any]], without: str = "") -> list[IPv4Network]:
    """The networks in `ip -json -4 route show table all`, but the default one and those of the device `without`."""
    found = []
    for route in routes:
        if route["dst"] not in ("default", "0.0.0.0/0") and route.get("dev") != without:
            found.append(IPv4Network(route["dst"], strict=False))
    return found


def name_servers(resolv_conf: str) -> tuple[str, ...]:
    """IPv4 name servers in a resolv.conf(5) that can be reached from another network namespace, at most 3."""
    words = [line.split() for line in resolv_conf.splitlines()]
    given = [pair[1] for pair in words if len(pair) > 1 and pair[0] == "nameserver"]
    return tuple(address for address in given if _usable(address))[:3]


def _usable(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.version == 4 and not address.is_loopback and not address.is_unspecified


def bridge_commands(network: Network) -> str:
    """For `ip -batch`: make the bridge.

    Its hardware address is fixed: a bridge without one takes the lowest of its ports, and each sandbox that came or
    went could change it under the others, whose packets to the address they knew are lost then.
    """
    name = network.bridge
    return (
        f"link add {name} address {network.hardware_address} type bridge"
        " stp_state 0 forward_delay 0 mcast_snooping 0\n"
        f"link set {name} addrgenmode none\n"
        f"addr add {network.gateway}/16 dev {name}\n"
        f"link set {name} up\n"
    )


def slot_commands(network: Network, number: int) -> tuple[str, str]:
    """For `ip -batch` on the machine, then inside the new namespace: a cable between the two."""
    namespace, link = network.namespace(number), network.link(number)
    outside = (
        f"netns add {namespace}\n"
        f"link add {link} type veth peer name eth0 netns {namespace}\n"
        f"link set {link} addrgenmode none master {network.bridge}\n"
        f"link set {link} type bridge_slave isolated on\n"
        f"link set {link} up\n"
    )
    inside = (
        "link set lo up\n"
        f"addr add {network.address(number)}/16 dev eth0\n"
        "link set eth0 addrgenmode none up\n"
        f"route add default via {network.gateway}\n"
    )
    return outside, inside


def firewall(network: Network, local: Sequence[str]) -> str:
    """For `nft -f`: this installation's table, made anew. `local`: the machine's own networks and addresses.

    "accept" here does not overrule a chain of somebody else; "reject" and "drop" are final.
    """
    table = f"inet hostd_{network.installation}"
    names = ", ".join(network.resolvers)
    ask = f"ip daddr {{ {names} }} meta l4proto {{ tcp, udp }} th dport 53 accept" if names else ""
    closed = ", ".join(_merged([*FORBIDDEN, *local]))
    return f"""
table {table}
delete table {table}
table {table} {{
    chain input {{
        type filter hook input priority -10; policy accept;
        iifname "{network.bridge}" jump from_sandbox_to_machine
    }}
    chain forward {{
        type filter hook forward priority -10; policy accept;
        iifname "{network.bridge}" jump from_sandbox
        oifname "{network.bridge}" jump to_sandbox
    }}
    chain from_sandbox_to_machine {{
        ct state established,related accept
        {ask}
        reject
    }}
    chain from_sandbox {{
        oifname "hd-*" drop
        ct state established,related accept
        meta nfproto ipv6 drop
        {ask}
        ip daddr {{ {closed} }} reject
        accept
    }}
    chain to_sandbox {{
        ct state established,related accept
        drop
    }}
    chain postrouting {{
        type nat hook postrouting priority 100; policy accept;
        ip saddr {network.subnet} oifname != "{network.bridge}" masquerade
    }}
}}
"""


def _merged(networks: Iterable[str]) -> list[str]:
    """Without overlaps, which a set of nftables refuses."""
    parsed = [IPv4Network(text, strict=False) for text in networks]
    return [str(network) for network in ipaddress.collapse_addresses(parsed)]
