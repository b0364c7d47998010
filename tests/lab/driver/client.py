# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest ``client``: batches of requests, and traffic that goes on while something happens."""
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .command import ROUTERS, lab
from .program import Program, python

# What a router says itself where no rule matches, and Traefik where a rule of the router's does and none of its own.
EDGE_PAGE, TRAEFIK_PAGE = "Nothing is served under this name and path.", "404 page not found"
NO_RULE, NO_RULE_IN_TRAEFIK = "404 of the router", "404 of Traefik"


@dataclass(frozen=True)
class Reply:
    """What the client got; see traffic.ask."""

    status: int
    headers: dict[str, str]
    body: str
    error: str
    times: list[float]
    serial: str
    names: list[str]

    @property
    def json(self) -> dict[str, Any]:
        """What echo said, in a stream with its first event; empty when it was another's answer."""
        try:
            value = json.loads(self.body.partition("\n")[0].removeprefix("data:"))
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def outcome(self) -> str:
        """The application that answered, else who refused and how."""
        if self.status in (200, 101):
            return self.json.get("app", f"{self.status} of somebody else")
        if self.status == 404:
            return NO_RULE if EDGE_PAGE in self.body else NO_RULE_IN_TRAEFIK if TRAEFIK_PAGE in self.body else "404"
        return str(self.status) if self.status else self.error


def question(host: str, path: str = "/", router: str = "r1", **more: Any) -> dict[str, Any]:
    """Return a question of traffic.ask to a router."""
    return {"host": host, "path": path, "address": ROUTERS[router], **more}


def ask(*questions: dict[str, Any]) -> list[Reply]:
    """Let the client ask all questions, in one process, and return its replies."""
    text = lab("exec", "client", "--", *_command("r1", "ask"), data=json.dumps(questions), timeout=120)
    return [Reply(**{"times": [], "serial": "", "names": [], **entry}) for entry in json.loads(text)]


def everywhere(*questions: dict[str, Any]) -> dict[str, list[Reply]]:
    """Let the client ask each router all questions, in one process, and return the replies by router."""
    replies = ask(*({**entry, "address": address} for address in ROUTERS.values() for entry in questions))
    share = len(replies) // len(ROUTERS)
    return {router: replies[number * share:(number + 1) * share] for number, router in enumerate(ROUTERS)}


def outcomes(*questions: dict[str, Any]) -> list[str]:
    """Return the outcome of each question (asked once); of each router, where they differ."""
    found = []
    for replies in zip(*everywhere(*questions).values(), strict=True):
        seen = {reply.outcome for reply in replies}
        found.append(seen.pop() if len(seen) == 1 else ", ".join(f"{name}: {reply.outcome}" for name, reply in zip(ROUTERS, replies, strict=True)))
    return found


class Traffic(Program):
    """Requests and websockets of the client to one router, while the body of ``with`` runs. Then ``summary`` is there."""

    def __init__(self, urls: Sequence[str], websockets: Sequence[str] = (), router: str = "r1", loops: int = 4, seconds: float = 240.0) -> None:
        super().__init__(_command(router, "load", f"--loops={loops}", f"--seconds={seconds}", *(f"--url={url}" for url in urls),
                                  *(f"--websocket={url}" for url in websockets)))

    @property
    def pods(self) -> list[str]:
        """The pods that the websockets were first with, in their order."""
        return self.said.split()

    @property
    def lost(self) -> dict[str, Any]:
        """What failed or broke, with the first reasons; empty when nothing did."""
        names = ("failed", "websockets_broken", "websockets_ended")
        found = {name: self.summary[name] for name in names if self.summary[name]}
        return {**found, "reasons": self.summary["reasons"]} if found else {}


def _command(router: str, *arguments: str) -> list[str]:
    return python("traffic", f"--address={ROUTERS[router]}", "--ca=/lab/ca.pem", *arguments)
