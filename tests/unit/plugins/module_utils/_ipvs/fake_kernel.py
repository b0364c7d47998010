# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stateful stand-in for the kernel's IPVS: it understands the messages of the codec and writes /proc/net/ip_vs.

What it refuses, and the order of its lists, are as in net/netfilter/ipvs/ip_vs_ctl.c.
"""

from __future__ import annotations

import errno
import socket
import struct

from ansible_collections.northgate.edge.plugins.module_utils._ipvs import codec

NUMBER = 42
_METHODS = {"masquerade": "Masq", "direct": "Route", "tunnel": "Tunnel"}


class Killed(BaseException):
    """The run was killed at this message."""


class FakeKernel:
    """``services``: frontend to service and destinations by key, the last added one at the end. ``connections`` by frontend and key.

    ``dies_at``: the run is killed at the write after so many. ``unknown``: schedulers that it does not have. ``normal``: a destination's last weight
    that was not 0, from which mh makes its table.
    """

    family = NUMBER

    def __init__(self):
        self.services, self.connections, self.normal = {}, {}, {}
        self.sent, self.commands, self.dies_at, self.unknown = 0, [], None, ()
        self._answers = []

    def send(self, data):
        # The kernel does what is in one write as a whole, so a run ends before or after it.
        if self.dies_at is not None and self.sent >= self.dies_at:
            raise Killed
        self.sent += 1
        for kind, flags, sequence, body in codec.messages(data):
            assert kind == NUMBER and flags & codec.NLM_F_REQUEST
            self._take(flags, sequence, body)

    def receive(self):
        return self._answers.pop(0)

    def _answer(self, kind, sequence, body):
        self._answers.append(codec.message(kind, 0, sequence, body))

    def _take(self, flags, sequence, body):
        command = body[0]
        if flags & codec.NLM_F_DUMP:
            self._dump(command, sequence, body)
            return
        if command == codec.GET_INFO:
            self._answer(NUMBER, sequence, struct.pack("=BBH", codec.SET_INFO, 1, 0))
            code = 0
        else:
            self.commands.append(command)
            code = self._change(command, body)
        if code or flags & codec.NLM_F_ACK:
            self._answer(codec.NLMSG_ERROR, sequence, struct.pack("=i", -code) + b"\0" * 16)

    def _dump(self, command, sequence, body):
        found = []
        if command == codec.GET_SERVICE:
            found = [codec.payload(codec.Operation(codec.NEW_SERVICE, f, service)) for f, (service, _all) in self.services.items()]
        else:
            frontend, _service = codec.parse_service(body)
            for d in self.services[frontend][1].values():
                found.append(codec.payload(codec.Operation(codec.NEW_DEST, frontend, None, d)))
        for entry in found:
            self._answer(NUMBER, sequence, entry)
        self._answer(codec.NLMSG_DONE, sequence, struct.pack("=i", 0))

    def _change(self, command, body):
        frontend, service = codec.parse_service(body)
        if command == codec.NEW_SERVICE:
            if service.scheduler in self.unknown:
                return errno.ENOENT
            if frontend in self.services:
                return errno.EEXIST
            self.services[frontend] = (service, {})
            return 0
        if frontend not in self.services:
            return errno.ESRCH
        known, destinations = self.services[frontend]
        if command == codec.SET_SERVICE:
            self.services[frontend] = (service, destinations)
        elif command == codec.DEL_SERVICE:
            del self.services[frontend]
        else:
            d = codec.parse_destination(body, socket.AF_INET)
            if (d.key in destinations) == (command == codec.NEW_DEST):
                return errno.EEXIST if command == codec.NEW_DEST else errno.ENOENT
            if command == codec.DEL_DEST:
                del destinations[d.key]
            else:
                destinations[d.key] = d
                # last_weight, from which mh makes its table.
                if d.weight or command == codec.NEW_DEST:
                    self.normal[(frontend, d.key)] = d.weight
        return 0

    def proc(self):
        lines = [
            "IP Virtual Server version 1.2.1 (size=4096)",
            "Prot LocalAddress:Port Scheduler Flags",
            "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn",
        ]
        for frontend, (service, destinations) in self.services.items():
            lines.append(
                f"{frontend.protocol}  {_hex(frontend.address, frontend.port)} {service.scheduler} "
                + ("persistent 300 FFFFFFFF" if service.persistence else "")
            )
            for d in reversed(destinations.values()):
                active = self.connections.get((frontend, d.key), 0)
                lines.append(f"  -> {_hex(d.address, d.port)}      {_METHODS[d.method]:<7} {d.weight:<6} {active:<10} {0:<10}")
        lines.append("FWM  00000001 rr ")
        lines.append("  -> 0A000001:0000      Route   1      0          0         ")
        return lines

    def put(self, frontend, service):
        """A service as somebody else, or an earlier run, made it."""
        self.services[frontend] = (service._replace(destinations=()), {d.key: d for d in service.destinations})

    def table(self):
        """Frontend to service, with its destinations in the order in which they were added."""
        return {f: service._replace(destinations=tuple(all_.values())) for f, (service, all_) in self.services.items()}


def _hex(address, port):
    if ":" in address:
        packed = socket.inet_pton(socket.AF_INET6, address).hex()
        return f"[{':'.join(packed[i : i + 4] for i in range(0, 32, 4))}]:{port:04X}"
    return f"{socket.inet_aton(address).hex().upper()}:{port:04X}"
