# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `lab`."""
from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys

DESCRIPTION = """\
A small, real network on this machine: two Kubernetes clusters, two routers in front of them and a client outside.
Routers, workers and client are guests with Linux kernels of their own (user-mode Linux: no virtualization needed);
control planes are real ones. Everything lives in network namespaces named northgate-lab*; nothing gets out.

The first `up` builds kernel, images and programs (under 20 minutes on two cores); later ones take about a minute.
"""
EPILOG = """\
examples:
  lab up                                   start the default topology, or repair what is there
  lab exec r1 -- ip route                  run a command on a guest
  lab exec client -- curl -s -H 'Host: shared.example.test' http://r1/
  lab kubectl alpha get pods -A -o wide
  lab ansible -- playbooks/site.yml --check --diff
  lab kill r1; lab start r1                pull the plug and boot again, with the disk as it was
  lab freeze r1; lab thaw r1               stop a host where it is and let it go on
  lab cut alpha-w1; lab mend alpha-w1      cut and mend the cables to fabric and outside; ssh and Ansible keep their way
  lab down                                 remove everything

exec, kubectl and ansible exit with the status of what they run. status exits with 1 when a host does not run.

environment:
  NORTHGATE_LAB_STATE    where the running lab keeps its files (/var/tmp/northgate-lab); `down` removes it
  NORTHGATE_CACHE        where built things are kept (~/.cache/northgate-edge)
  NORTHGATE_DEBIAN_MIRROR  where guest images come from, instead of Debian's own servers
  KUBEBUILDER_ASSETS     directory with etcd, kube-apiserver and kubectl to use instead of our own
"""


def main() -> int:
    """Run the command line; return the exit status."""
    arguments = _parser().parse_args()
    # Whatever ends us must also end what we wait for.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(130))
    os.umask(0o022)
    # Late, so that --help needs no library.
    from . import commands

    try:
        return commands.run(arguments)
    except KeyboardInterrupt:
        print("lab: interrupted; `lab up` goes on, `lab down` cleans up", file=sys.stderr)
        return 130
    except (commands.state.NoLab, OSError, ValueError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description=DESCRIPTION, epilog=EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_subparsers(dest="command", required=True, metavar="COMMAND").add_parser
    up = add("up", help="start the lab, or what does not run of it, and wait until it is ready")
    up.add_argument("topology", nargs="?", default="default", metavar="TOPOLOGY",
                    help="a name from tests/lab/topologies, or a path (default: default)")
    up.add_argument("--no-clusters", action="store_true", help="only network and guests, without Kubernetes")
    add("build", help="only build what `up` needs")
    add("down", help="end and remove everything, also after an interrupted run")
    add("status", help="show every host, whether it runs, and its cables")
    for name, text in (("kill", "pull the plug of a host"), ("start", "switch a host on and wait until it answers"),
                       ("freeze", "stop everything of a host where it is"), ("thaw", "let a frozen host go on"),
                       ("cut", "cut a host's cables to fabric and outside"), ("mend", "mend the cables of a host"),
                       ("logs", "show a host's console, logs and journal")):
        add(name, help=text).add_argument("host", metavar="HOST")
    execute = add("exec", help="run a command on a host, guest or control plane", usage="lab exec HOST -- COMMAND...")
    execute.add_argument("host", metavar="HOST")
    execute.add_argument("arguments", nargs=argparse.REMAINDER, metavar="COMMAND")
    kubectl = add("kubectl", help="run kubectl as a cluster's administrator", usage="lab kubectl CLUSTER ARGUMENTS...")
    kubectl.add_argument("cluster", metavar="CLUSTER")
    kubectl.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS")
    ansible = add("ansible", help="run ansible-playbook in the lab, with its inventory, from the checkout's directory",
                  usage="lab ansible -- ARGUMENTS...")
    ansible.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS")
    return parser


if __name__ == "__main__":
    sys.exit(main())
