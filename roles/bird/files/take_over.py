# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the running BIRD take over its configuration, and take it back when sessions don't survive it.

It compares facts (when BIRD read its configuration, when the files were written, whether an earlier change was confirmed) instead of trusting
that an earlier run got to its end. Prints `unchanged` or `reconfigured`. A configuration that is refused, or that loses sessions, is an error
(exit status 1) that names them, and BIRD goes on with the one before.
"""
from __future__ import annotations

import argparse
import datetime
import re
import socket
import sys
import time
from pathlib import Path

# Seconds that BIRD waits longer than we do before it takes back by itself what nobody confirmed.
MARGIN = 30
# Codes of BIRD's replies: done; also in progress or queued; not confirmed yet.
DONE, ACCEPTED, UNCONFIRMED = "0003", ("0003", "0004", "0005"), "0022"


class Problem(Exception):
    """BIRD does not answer, or refuses; the message is for the operator."""


class Control:
    """BIRD's control socket. A reply is a list of (four digits, text)."""

    def __init__(self, path: str) -> None:
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.settimeout(30)
        try:
            self.connection.connect(path)
            self.lines = self.connection.makefile("r", encoding="utf-8", errors="replace")
            self._reply()
        except OSError as error:
            raise Problem(f"BIRD does not answer on {path}: {error}. journalctl -u bird says why") from error

    def ask(self, command: str) -> list[tuple[str, str]]:
        """Send a command and return its reply. Raises Problem when BIRD refuses it or goes away."""
        try:
            self.connection.sendall(command.encode() + b"\n")
            reply = self._reply()
        except OSError as error:
            raise Problem(f"BIRD went away while it was asked to {command}: {error}. journalctl -u bird says why") from error
        if reply[-1][0][0] in "89":
            raise Problem(f"BIRD refuses to {command}: {reply[-1][1]}")
        return reply

    def _reply(self) -> list[tuple[str, str]]:
        reply: list[tuple[str, str]] = []
        for line in self.lines:
            text = line.rstrip("\n")
            if text.startswith(" ") and reply:
                reply.append((reply[-1][0], text[1:]))
            elif re.match(r"\d{4}[ -]", text):
                reply.append((text[:4], text[5:]))
                if text[4] == " ":
                    return reply
        raise OSError("it closed the connection")


def sessions(control: Control) -> tuple[set[str], dict[str, str]]:
    """The BGP sessions by the neighbour's address: those that are Established, and what there is to say of each."""
    up, said, name, state = set(), {}, "", ""
    for code, text in control.ask("show protocols all"):
        if code == "1002":
            name, state = text.split()[0], " ".join(text.split()[5:])
        elif text.strip().startswith("Neighbor address:"):
            address = text.split()[-1]
            said[address] = f"{name} ({address}): {state or 'down'}"
            if state == "Established":
                up.add(address)
    return up, said


def watched(control: Control) -> tuple[set[str], set[str]]:
    """The addresses of BFD sessions: of those that are Up, and of all."""
    try:
        reply = control.ask("show bfd sessions")
    except Problem:
        # That is how BIRD says that its configuration has no BFD.
        return set(), set()
    rows = [text.split() for code, text in reply if code == "1020" and len(text.split()) >= 6]
    return {row[0] for row in rows if row[2] == "Up"}, {row[0] for row in rows}


def in_use(control: Control, files: list[Path]) -> bool:
    """Whether BIRD has read the files as they are now, for good."""
    if any(code == UNCONFIRMED for code, _text in control.ask("configure status")):
        return False
    for _code, text in control.ask("show status"):
        if text.startswith("Last reconfiguration on "):
            read = datetime.datetime.fromisoformat(text.removeprefix("Last reconfiguration on ").strip()).timestamp()
            return all(file.stat().st_mtime < read for file in files)
    return False


def settle(control: Control, deadline: float) -> None:
    """Wait until BIRD has no reconfiguration under way. Raises Problem after the deadline."""
    while control.ask("configure status")[0][0] != DONE:
        if time.monotonic() > deadline:
            raise Problem("BIRD has not finished to reconfigure itself. journalctl -u bird says how far it got")
        time.sleep(0.1)


def missing(control: Control, before: set[str], watched_before: set[str]) -> list[str]:
    """What was up before, is still wanted and is not up: a line for each session."""
    up, said = sessions(control)
    watched_up, watched_all = watched(control)
    unwatched = (watched_before & watched_all & up) - watched_up
    return [said[address] for address in said if address in before - up] + [f"BFD with {address}" for address in sorted(unwatched)]


def take_over(control: Control, patience: int) -> None:
    """Reconfigure; confirm once all sessions are back, else undo and raise Problem. With a patience of 0 nothing is waited for."""
    before, _said = sessions(control)
    watched_before, _all = watched(control)
    control.ask("configure check")
    answer = control.ask(f"configure timeout {patience + MARGIN}" if patience else "configure")[-1]
    if answer[0] not in ACCEPTED:
        raise Problem(f"BIRD does not reconfigure itself: {answer[1]}")
    deadline = time.monotonic() + patience
    settle(control, deadline + MARGIN / 2)
    if not patience:
        return
    while lost := missing(control, before, watched_before):
        if time.monotonic() > deadline:
            control.ask("configure undo")
            settle(control, time.monotonic() + MARGIN)
            raise Problem(f"the new configuration was taken back: within {patience} s these did not come up again that were up before: {'; '.join(lost)}. "
                          "Where both ends have to change (a password, an AS number), run it on both with bird_confirm_timeout=0")
        time.sleep(0.2)
    control.ask("configure confirm")


def connect(path: str) -> Control:
    """Connect, also to a BIRD that was started a moment ago."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return Control(path)
        except Problem:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the running BIRD take over its configuration.")
    parser.add_argument("--socket", default="/run/bird/bird.ctl")
    parser.add_argument("--timeout", type=int, required=True, help="seconds to wait for sessions; 0: don't")
    parser.add_argument("files", nargs="+", type=Path, help="the files of the configuration")
    arguments = parser.parse_args()
    try:
        control = connect(arguments.socket)
        if in_use(control, arguments.files):
            print("unchanged")
            return
        take_over(control, arguments.timeout)
        print("reconfigured")
    except Problem as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
