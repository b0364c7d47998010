# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""loadBalancerSourceRanges as an nftables table of our own, which is replaced as a whole."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import subprocess

from .._core.balance_model import Frontend
from .._core.errors import ConvergeError

TABLE = "inet northgate_sources"
Sources = dict[Frontend, tuple[str, ...]]

_SET = re.compile(r"^\tset (restricted|allowed)_(tcp|udp|sctp)[46] \{\n(.*?)^\t\}$", re.MULTILINE | re.DOTALL)
_RESTRICTED = re.compile(r"^\t\t\t([0-9a-f.:]+) \. (\d+),?$", re.MULTILINE)
_ALLOWED = re.compile(r"^\t\t\t([0-9a-f.:/]+) \. ([0-9a-f.:]+) \. (\d+),?$", re.MULTILINE)
_DIGEST = re.compile(r"digest_([0-9a-f]{32})")

# Before IPVS, which takes its packets at priority 98. A look at ct is enough to make the kernel put fragments
# together first: only the first one has the ports, and the others would pass. ICMP has none, and passes.
_CHAIN = """\
\tchain input {
\t\ttype filter hook input priority filter; policy accept;
\t\tct state invalid,new,established,related,untracked
"""
# Sets of each protocol: nft 1.0.6 swaps the bytes of a protocol in a set of intervals, as two bytes, which newer kernels (seen with 7.2) refuse.
_RULE = "\t\t{ip} daddr . {protocol} dport @restricted_{name} {ip} saddr . {ip} daddr . {protocol} dport != @allowed_{name} drop\n"


def render(sources: Sources) -> str:
    """The table as a text for nft -f, "" when nothing is restricted. A chain without rules is named by its digest."""
    if not sources:
        return ""
    sets, chain = "", _CHAIN
    for (protocol, family), frontends in sorted(_kinds(sources).items()):
        name, address = f"{protocol}{family}", f"ipv{family}_addr"
        allowed = [f"{_short(network)} . {_place(frontend)}" for frontend in frontends for network in sources[frontend]]
        sets += _set(f"restricted_{name}", f"type {address} . inet_service", [_place(frontend) for frontend in frontends])
        sets += _set(f"allowed_{name}", f"type {address} . {address} . inet_service\n\t\tflags interval", allowed)
        chain += _RULE.format(ip="ip" if family == 4 else "ip6", protocol=protocol, name=name)
    chain += "\t}\n"
    digest = hashlib.sha256((sets + chain).encode()).hexdigest()[:32]
    head = f"# Written by northgate.edge (ipvs_services), which replaces it.\ntable {TABLE}\ndelete table {TABLE}\n"
    return f"{head}table {TABLE} {{\n\tchain digest_{digest} {{\n\t}}\n{sets}{chain}}}\n"


def _kinds(sources: Sources) -> dict[tuple[str, int], list[Frontend]]:
    """Frontends by protocol and family."""
    found: dict[tuple[str, int], list[Frontend]] = {}
    for frontend in sorted(sources):
        found.setdefault((frontend.protocol.lower(), 6 if ":" in frontend.address else 4), []).append(frontend)
    return found


def _place(frontend: Frontend) -> str:
    return f"{frontend.address} . {frontend.port}"


def _short(network: str) -> str:
    """A network of one address is that address."""
    found = ipaddress.ip_network(network)
    return str(found.network_address) if found.num_addresses == 1 else network


def _set(name: str, kind: str, elements: list[str]) -> str:
    listed = "\t\telements = {\n" + ",\n".join(f"\t\t\t{element}" for element in elements) + "\n\t\t}\n" if elements else ""
    return f"\tset {name} {{\n\t\t{kind}\n{listed}\t}}\n"


def parse(text: str) -> Sources:
    """What render made a text of."""
    found: dict[Frontend, list[str]] = {}
    # A set of restricted ones comes before that of what they allow.
    for what, protocol, elements in _SET.findall(text):
        if what == "restricted":
            found.update({Frontend(protocol.upper(), address, int(port)): [] for address, port in _RESTRICTED.findall(elements)})
        else:
            for network, address, port in _ALLOWED.findall(elements):
                frontend = Frontend(protocol.upper(), address, int(port))
                if frontend in found:
                    found[frontend].append(str(ipaddress.ip_network(network)))
    return {frontend: tuple(networks) for frontend, networks in found.items()}


def strictest(before: Sources, after: Sources) -> Sources:
    """What lets in only what both let in: it holds while the rules change, so that nothing is open for a moment."""
    found = {**before, **after}
    for frontend in before.keys() & after.keys():
        found[frontend] = tuple(network for network in after[frontend] if network in before[frontend])
    return found


def digest(text: str) -> str:
    """The digest in a text of render; "" where there is none."""
    match = _DIGEST.search(text)
    return match.group(1) if match else ""


class Nft:
    """The loaded table."""

    def __init__(self, command: str = "nft") -> None:
        self._command = command

    def loaded(self) -> str | None:
        """The digest of the loaded table, "" where it carries none, None where there is no table."""
        try:
            # Terse: without the elements of sets, which may be thousands.
            done = self._run(["--terse", "--json", "list", "table", *TABLE.split()])
        except FileNotFoundError:
            return None
        if done.returncode:
            if "No such file or directory" in done.stderr:
                return None
            raise ConvergeError(f"nft does not tell the table {TABLE}: {done.stderr.strip()[:200]}", "Does it work by hand? nft list ruleset")
        chains = [entry["chain"]["name"] for entry in json.loads(done.stdout)["nftables"] if "chain" in entry]
        return digest(" ".join(chains)) if "input" in chains else ""

    def check(self, text: str) -> None:
        """nft's own opinion, before anything changes."""
        self._load(["--check", "--file", "-"], text)

    def load(self, text: str) -> None:
        """Replaces the table by that of ``text`` in one transaction; removes it where the text is ""."""
        # The first line is for where there is no table yet: to delete one that is not there is an error.
        self._load(["--file", "-"], text or f"table {TABLE}\ndelete table {TABLE}\n")

    def _load(self, arguments: list[str], text: str) -> None:
        try:
            done = self._run(arguments, text)
        except FileNotFoundError as error:
            raise ConvergeError("nft is not installed, and services have loadBalancerSourceRanges", "The role ipvs installs nftables") from error
        if done.returncode:
            raise ConvergeError(f"nft refuses the table {TABLE}: {done.stderr.strip()[:400]}", "The table of before stays loaded")

    def _run(self, arguments: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run([self._command, *arguments], input=text, capture_output=True, text=True, check=False, env={"LC_ALL": "C", "PATH": _PATH})


_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
