# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP, UDP and SCTP from the client: batches of questions, and long streams that go on while something happens."""
from __future__ import annotations

import collections
import json
from typing import Any

from .command import lab
from .program import Program, python

PROTOCOLS = ("tcp", "udp", "sctp")
# The time between messages of a stream; a guest has one core.
INTERVAL = 0.5


def target(protocol: str, address: str, port: int) -> str:
    """Return a target as the traffic generator reads it."""
    return f"{protocol}:[{address}]:{port}" if ":" in address else f"{protocol}:{address}:{port}"


def ask(*targets: str, times: int = 1, timeout: float = 3.0, **options: Any) -> list[dict[str, Any]]:
    """Let the client ask each target so often, all at once and each time anew; return what echo said, or ``{"error": why}``.

    Options are those of a question: ``source``, ``padding``.
    """
    questions = [{"target": text, **options} for text in targets for _ in range(times)]
    text = lab("exec", "client", "--", *python("traffic.streams", "ask", f"--timeout={timeout}"), data=json.dumps(questions), timeout=timeout + 60)
    return json.loads(text)


def outcome(answer: dict[str, Any], what: str = "cluster") -> str:
    """Return a field of what echo said, else the error."""
    return answer.get("error") or answer[what]


def outcomes(*targets: str, times: int = 1, what: str = "cluster", timeout: float = 3.0, **options: Any) -> dict[str, set[str]]:
    """Return the different outcomes of each target."""
    answers = ask(*targets, times=times, timeout=timeout, **options)
    return {text: {outcome(answer, what) for answer in answers[times * number:times * (number + 1)]} for number, text in enumerate(targets)}


def client(answer: dict[str, Any]) -> str:
    """Return the client's address as echo saw it, else the error."""
    return answer.get("error") or host(answer["client"]).removeprefix("::ffff:")


def host(text: str) -> str:
    """Return the address in ``ADDRESS:PORT``, without the brackets of an IPv6 address."""
    return text.rpartition(":")[0].strip("[]")


class Streams(Program):
    """So many streams of the client to each target (``{target: count}``), while the body of ``with`` runs. Then ``results`` are there.

    ``first`` is how they began.
    """

    def __init__(self, targets: dict[str, int], interval: float = INTERVAL, patience: float = 30.0, seconds: float = 600.0) -> None:
        super().__init__(python(
            "traffic.streams", "run", f"--interval={interval}", f"--patience={patience}", f"--seconds={seconds}",
            *(f"{count}*{text}" for text, count in targets.items())), ready_seconds=60 + patience)
        self._patience = patience

    @property
    def first(self) -> list[dict[str, Any]]:
        """The results of all streams when each had had its first answer, or had ended without."""
        return json.loads(self.said)["streams"]

    @property
    def results(self) -> list[dict[str, Any]]:
        """What became of each stream; see traffic.stream."""
        return self.summary["streams"]

    def settled(self, word: str = "settled") -> list[dict[str, Any]]:
        """Wait until each stream that lives was answered a message that it sent after this call; return their results."""
        return json.loads(self.tell(word, self._patience + 30))["streams"]


def ended(results: list[dict[str, Any]]) -> dict[str, int]:
    """Return how many streams ended for each protocol and reason; empty when none did."""
    return dict(collections.Counter(f"{entry['target'].partition(':')[0]}: {entry['ended']}" for entry in results if entry["ended"]))


def moved(results: list[dict[str, Any]]) -> int:
    """Return how many streams of datagrams were answered by another pod than at first."""
    return sum(entry["pod_changes"] > 0 for entry in results)
