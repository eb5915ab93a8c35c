"""Makes this machine ready for sandboxes: checks what it has, then the bridge, the firewall and the cgroups."""

import ipaddress
import json
import os
import re
import shutil
from ipaddress import IPv4Network
from pathlib import Path

from hostd import command
from hostd.command import Command, CommandFailed
from hostd.engine import cgroups as groups
from hostd.engine import memory, zram
from hostd.engine import network as networks
from hostd.engine.cgroups import Cgroups
from hostd.engine.network import Network
from hostd.engine.slots import ip_batch, ip_json, machine_lock
from hostd.errors import Unavailable

PACKAGES = {
    "bwrap": "bubblewrap",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
BUBBLEWRAP = (0, 8)
_INSTALL = f"run: apt-get install -y {' '.join(PACKAGES.values())}"
_HOW = "; HOSTD_ZRAM_MB=2048 makes some, compressed in memory"
_RESOLV = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
ISOLATES = (
    "own user id per app, mapped by a user namespace; never root on this machine",
    "own files: the machine's /usr read-only, nothing else of it",
    "own processes, host name, shared memory and network namespaces",
    "network: the internet, not this machine, private networks or another app",
    "system calls: a filter; no capabilities, no new privileges",
    "limits: memory, processes, CPU, open files, disk space",
)


async def check() -> None:
    """Raises Unavailable naming the first thing that is missing."""
    if os.geteuid() != 0:
        raise Unavailable("the local engine needs root to make sandboxes", hint="run: sudo hostd serve")
    for program in PACKAGES:
        if shutil.which(program, path=command.PATH) is None:
            raise Unavailable(f"{program} is not installed", hint=_INSTALL)
    version = await _answer("bwrap", "--version")
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers < BUBBLEWRAP:
        raise Unavailable(f"{version.strip()} is too old: 0.8 is needed", hint=_INSTALL)
    if _number(Path("/proc/sys/user/max_user_namespaces")) == 0:
        raise Unavailable(
            "this kernel gives no user namespaces", hint="run: sysctl -w user.max_user_namespaces=100000"
        )


def make_cgroups(installation: str) -> Cgroups:
    """The installation's cgroups, made. Raises Unavailable."""
    found = groups.layout(installation)
    try:
        groups.prepare(found)
    except OSError as error:
        raise Unavailable(
            f"the cgroups of this machine cannot be written: {error.strerror}",
            hint="in a container, run it with --privileged --cgroupns=host",
        ) from error
    return found


async def make_network(directory: Path, installation: str) -> tuple[Network, tuple[str, ...]]:
    """The bridge and the firewall, and what does not work for the network here. Raises Unavailable."""
    resolvers = next((names for path in _RESOLV if (names := _names(path))), ())
    try:
        async with machine_lock():
            network = await _bridge(directory, installation, resolvers)
        await _close_off(network)
        lacks = await _forwarding(network)
    except CommandFailed as error:
        raise Unavailable(f"the network of sandboxes cannot be made: {error}", hint=_INSTALL) from error
    if not resolvers:
        lacks += ("names: this machine's resolver listens on loopback only, sandboxes cannot ask it",)
    return network, lacks


async def make_swap(file: Path, zram_mb: int) -> str:
    """Where the memory of frozen Instances goes, in words. `file` remembers the compressed swap that hostd made."""
    problem = ""
    try:
        await zram.provide(file, zram_mb)
    except Unavailable as error:  # everything but this works without
        problem = f": {error.message}; {error.hint}"
    if size := memory.swap_mb():
        return f"the memory of sleeping apps goes to {size} MB of swap{problem}"
    return f"sleeping apps keep their memory until they are stopped, as there is no swap{problem or _HOW}"


async def remove_network(network: Network) -> None:
    """Remove the bridge and the firewall rules, as far as they are there."""
    for words in _docker_rules(network) if _has_iptables() else ():
        await command.run(Command(("iptables", "-w", "-D", "DOCKER-USER", *words)))
    await command.run(Command(("nft", "delete", "table", "inet", f"hostd_{network.installation}")))
    await command.run(Command(("ip", "link", "del", network.bridge)))


async def _bridge(directory: Path, installation: str, resolvers: tuple[str, ...]) -> Network:
    file = directory / "network.json"
    subnet, bridge = _subnet_before(file), f"hd-{installation}"
    if subnet and _has_link(bridge):
        return Network(installation, subnet, resolvers)
    taken = networks.routed(await ip_json("-4", "route", "show", "table", "all"), without=bridge)
    taken += [IPv4Network(address) for address in resolvers]
    if subnet is None or any(subnet.overlaps(other) for other in taken):
        subnet = networks.free_subnet(taken, installation)
        file.write_text(json.dumps({"subnet": str(subnet)}))
    await command.run(Command(("ip", "link", "del", bridge)))
    network = Network(installation, subnet, resolvers)
    await ip_batch(networks.bridge_commands(network))
    return network


async def _close_off(network: Network) -> None:
    """Replace the firewall table in one transaction; then, and only then, let packets be forwarded."""
    addresses = await ip_json("-4", "addr", "show")
    local = [
        str(ipaddress.IPv4Interface(f"{info['local']}/{info['prefixlen']}").network)
        for link in addresses
        if link["ifname"] != network.bridge
        for info in link["addr_info"]
    ]
    rules = networks.firewall(network, local)
    await command.check(Command(("nft", "-f", "-"), input=rules.encode()))
    _let_forward(Path("/proc/sys/net/ipv4/ip_forward"))


async def _forwarding(network: Network) -> tuple[str, ...]:
    """Get past the firewall of docker, which drops what it does not know; say so if another one drops."""
    if not _has_iptables():
        return ()
    if (await command.run(Command(("iptables", "-w", "-S", "DOCKER-USER")))).status == 0:
        for words in _docker_rules(network):
            known = await command.run(Command(("iptables", "-w", "-C", "DOCKER-USER", *words)))
            if known.status != 0:
                await command.check(Command(("iptables", "-w", "-I", "DOCKER-USER", *words)))
        return ()
    result = await command.run(Command(("iptables", "-w", "-S", "FORWARD")))
    if "-P FORWARD DROP" in result.output:
        return (
            f"network: this machine's firewall drops what {network.bridge} sends out; allow forwarding for it",
        )
    return ()


def _let_forward(switch: Path) -> None:
    if _number(switch) != 1:
        switch.write_text("1")


def _subnet_before(file: Path) -> IPv4Network | None:
    return IPv4Network(json.loads(file.read_text())["subnet"]) if file.exists() else None


def _has_link(name: str) -> bool:
    return Path(f"/sys/class/net/{name}").exists()


def _number(file: Path) -> int:
    return int(file.read_text()) if file.exists() else 0


def _has_iptables() -> bool:
    return shutil.which("iptables", path=command.PATH) is not None


def _docker_rules(network: Network) -> tuple[tuple[str, ...], ...]:
    return (
        ("-i", network.bridge, "-j", "ACCEPT"),
        ("-o", network.bridge, "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"),
    )


def _names(path: Path) -> tuple[str, ...]:
    return networks.name_servers(path.read_text()) if path.exists() else ()


async def _answer(*argv: str) -> str:
    return await command.check(Command(argv))
