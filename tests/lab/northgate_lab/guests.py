# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests: user-mode Linux with a copy-on-write disk. What they need on disk, their command line, their boot."""
from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
from pathlib import Path

from . import network, processes
from .progress import Progress, last_line, tail
from .state import Lab
from .topology import Host

READY_SECONDS = 240
# A guest that boots says something more often than this. BOOTS is how often it is tried.
SILENT_SECONDS = 30
BOOTS = 3
SYSCTL = ["net.ipv6.conf.all.accept_ra=0", "net.ipv6.conf.default.accept_ra=0",
          "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0"]
# Of equal routes one is chosen by the ports too, so that a client's connections go over all routers.
SPREADING = ["net.ipv4.fib_multipath_hash_policy=1", "net.ipv6.fib_multipath_hash_policy=1"]
FORWARDING = ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.default.forwarding=1"]
# Who is behind a client sends it what goes on to a router in the same segment.
UPSTREAM = [*SPREADING, *FORWARDING, "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.default.send_redirects=0"]
# Where two cores have to do for all: sessions that are watched by the tenth of a second come before API servers, and routers before pods.
PRIORITIES = {"router": -6, "client": -6, "worker": -3}
# A machine of its own would take nothing from others while it boots.
BOOTING = 5
BOOTED_SECONDS = 60.0


def prepare(lab: Lab) -> None:
    """Write what every guest reads at boot, its ssh keys, and the controller's ssh configuration."""
    key = lab.state / "ssh" / "id_ed25519"
    _ensure_key(key)
    known = []
    for name in lab.topology.guests:
        host, system = lab.topology.hosts[name], lab.directory(name) / "share" / "system"
        system.mkdir(parents=True, exist_ok=True)
        _ensure_key(system / "ssh_host_ed25519_key")
        shutil.copyfile(key.with_suffix(".pub"), system / "authorized_keys")
        (system / "hosts").write_text(hosts_file(lab, host))
        settings = SYSCTL + (FORWARDING if host.role in ("router", "worker") else UPSTREAM)
        (system / "sysctl.conf").write_text("\n".join(settings) + "\n")
        (system / "interfaces").write_text("".join(
            f"{host.mac(segment)} {segment} {' '.join(found)}\n" for segment, found in host.interfaces.items()))
        public = (system / "ssh_host_ed25519_key.pub").read_text().split()
        known.append(f"{name},{management(host)} {public[0]} {public[1]}\n")
    (lab.state / "ssh" / "known_hosts").write_text("".join(known))
    (lab.state / "ssh" / "config").write_text(ssh_config(lab))


def management(host: Host) -> str:
    """Return the address by which the controller reaches a guest."""
    return host.addresses_in("mgmt")[0]


def hosts_file(lab: Lab, reader: Host) -> str:
    """Return /etc/hosts of a guest: every host's addresses in a segment that the reader is in, else in its own main one."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    main = next(iter(reader.interfaces))
    for name, host in lab.topology.hosts.items():
        lines += [f"{address} {name}" for address in host.addresses_in(main) or host.addresses]
    return "\n".join(lines) + "\n"


def ssh_config(lab: Lab) -> str:
    """Return the configuration with which ssh and Ansible reach the guests, over connections that they share."""
    directory = lab.state / "ssh"
    blocks = [
        f"Host {name} {management(lab.topology.hosts[name])}\n    HostName {management(lab.topology.hosts[name])}\n"
        for name in lab.topology.guests
    ]
    return "".join(blocks) + "\n".join((
        "Host *", "    User root", f'    IdentityFile "{directory}/id_ed25519"', "    IdentitiesOnly yes", "    BatchMode yes",
        f'    UserKnownHostsFile "{directory}/known_hosts"', "    GlobalKnownHostsFile /dev/null",
        "    StrictHostKeyChecking yes", "    ConnectTimeout 5", "    ServerAliveInterval 5", "    ServerAliveCountMax 3",
        "    LogLevel ERROR", "    ControlMaster auto", "    ControlPersist 10m", f'    ControlPath "{directory}/%h.sock"', ""))


def boot(lab: Lab, name: str) -> None:
    """Switch a guest on with the disk that it has, or a new one. Runs in the lab's network."""
    host, directory = lab.topology.hosts[name], lab.directory(name)
    runtime = directory / "uml"
    shutil.rmtree(runtime, ignore_errors=True)
    runtime.mkdir()
    base = directory / "base.img"
    base.unlink(missing_ok=True)
    base.symlink_to(f"{lab.parts['image']}/{host.role}.img")
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
    # Memory is a file: in a real file system it would be written back to disk.
    if os.path.isdir("/dev/shm"):
        environment["TMPDIR"] = "/dev/shm"
    processes.spawn(command(lab, host), directory / "console.log", directory / "guest.pid", environment,
                    cwd=directory)


def command(lab: Lab, host: Host) -> list[str]:
    """Return a guest's command line, for its directory: the kernel can't have blanks in the names of files."""
    directory = lab.directory(host.name)
    interfaces = [
        f"vec{index}:transport=tap,ifname={network.port(host.name, segment)},mac={host.mac(segment)},depth=128,gro=1"
        for index, segment in enumerate(host.interfaces)
    ]
    programs = lab.parts.get("programs") or str(lab.state / "programs")
    return processes.preferred(BOOTING, [
        "taskset", "--cpu-list", str(core(lab, host.name)), f"{lab.parts['kernel']}/linux", f"mem={host.memory}M", f"umid={host.name}", "uml_dir=uml",
        "ubd0=disk.cow,base.img", "root=/dev/ubda", "rootfstype=ext4", "rw", "seccomp=auto",
        *interfaces, "con=null", "con0=null,fd:1", "ssl=null",
        f"systemd.hostname={host.name}", f"systemd.machine_id={hashlib.sha256(host.name.encode()).hexdigest()[:32]}",
        f"lab.share={urllib.parse.quote(str(directory / 'share'))}", f"lab.programs={urllib.parse.quote(programs)}",
    ])


def core(lab: Lab, name: str) -> int:
    """Return the number of the core on which a guest runs: routers and clients on the first, for of routers one at a time has most to do, workers on others.

    The kernel and the programs of a guest are processes that wake each other by turns. On one core that is a change of context; on two it wakes a core
    that rests, which costs several times as much where the machine is itself a guest.
    """
    cores = sorted(os.sched_getaffinity(0))
    workers = [guest for guest in lab.topology.guests if lab.topology.hosts[guest].role == "worker"]
    return cores[(workers.index(name) + 1 if name in workers else 0) % len(cores)]


def wait_ready(lab: Lab, names: list[str], progress: Progress) -> None:
    """Wait until sshd of each guest lets us in. Runs in the lab's network. Raises TimeoutError, ChildProcessError."""
    deadline, waiting = time.monotonic() + READY_SECONDS, list(names)
    boots = dict.fromkeys(names, 1)
    while waiting := [name for name in waiting if not _answers(lab, name)]:
        for name in waiting:
            if processes.running(lab.directory(name) / "guest.pid") is None:
                raise ChildProcessError(f"guest {name} ended:\n{tail(lab.directory(name) / 'console.log', 20)}")
            if boots[name] < BOOTS and hangs(lab.directory(name) / "console.log", time.time()):
                progress(f"guest {name} hangs while it boots: switching it on again")
                boots[name] += 1
                _boot_again(lab, name)
        if time.monotonic() > deadline:
            where = "\n".join(f"{name}: {last_line(lab.directory(name) / 'console.log')}" for name in waiting)
            raise TimeoutError(f"no ssh after {READY_SECONDS} s:\n{where}")
        progress(f"waiting for ssh on {', '.join(waiting)}")
        time.sleep(0.3)
    _promote(lab, names, progress)


def _promote(lab: Lab, names: list[str], progress: Progress) -> None:
    """Wait until guests that boot have started all that they should, and give them the place that they have for good."""
    progress(f"waiting until all is started on {', '.join(names)}")
    deadline = time.monotonic() + BOOTED_SECONDS
    for name in names:
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run([*ssh(lab, name), "systemctl", "is-system-running", "--wait"], stdin=subprocess.DEVNULL, capture_output=True, check=False,
                           timeout=max(1.0, deadline - time.monotonic()))
        if pid := processes.running(lab.directory(name) / "guest.pid"):
            processes.rank(pid, PRIORITIES[lab.topology.hosts[name].role])


def hangs(console: Path, now: float) -> bool:
    """Return whether the console of a guest that does not answer yet has been silent for too long.

    Once in some hundred boots user-mode Linux spins for ever: a signal interrupts it in munmap, and
    the handler's copy faults on the memory that is just being unmapped. Seen while it opened its
    disk and while it loaded a module.
    """
    return now - console.stat().st_mtime > SILENT_SECONDS


def _boot_again(lab: Lab, name: str) -> None:
    directory = lab.directory(name)
    if pid := processes.running(directory / "guest.pid"):
        processes.end_sessions([pid])
    # A disk that this boot began to make and never mounted is not whole; any other holds what roles installed.
    latest = (directory / "console.log").read_bytes().rpartition(b"Linux version ")[2]
    if b'Creating "disk.cow"' in latest and b"EXT4-fs (ubda)" not in latest:
        (directory / "disk.cow").unlink()
    boot(lab, name)


def ssh(lab: Lab, name: str, *options: str) -> list[str]:
    """Return the beginning of an ssh command line to a guest."""
    return ["ssh", "-F", str(lab.state / "ssh" / "config"), *options, name]


def disconnect(lab: Lab, name: str) -> None:
    """Close the shared connection to a guest, which would wait for one that is gone."""
    if (lab.state / "ssh" / f"{management(lab.topology.hosts[name])}.sock").exists():
        subprocess.run(ssh(lab, name, "-O", "exit"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _answers(lab: Lab, name: str) -> bool:
    try:
        with socket.create_connection((management(lab.topology.hosts[name]), 22), timeout=1) as connection:
            if not connection.recv(4):
                return False
    except OSError:
        return False
    return subprocess.run([*ssh(lab, name), "true"], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def _ensure_key(path: Path) -> None:
    if not path.with_suffix(".pub").exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "northgate-lab", "-f", path], check=True)
