# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python3 -m traffic ask`` and ``python3 -m traffic load``; see --help."""
from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import signal
import sys
import threading

from . import ask, load
from .wire import Router


def main() -> int:
    """Run the command line; return the exit status."""
    arguments = _parser().parse_args()
    router = Router(arguments.address, arguments.http_port, arguments.https_port, arguments.ca)
    if arguments.command == "ask":
        print(json.dumps(asyncio.run(ask.Asker(router).all(json.load(sys.stdin)))))
        return 0
    plan = load.Plan(
        router, tuple(arguments.url), arguments.loops, tuple(arguments.websocket), arguments.pause, arguments.beat,
        arguments.seconds, arguments.requests)
    print(json.dumps(dataclasses.asdict(asyncio.run(_load(plan)))), flush=True)
    return 0


async def _load(plan: load.Plan) -> load.Summary:
    running = load.Load(plan, ready=lambda: print("ready", *running.pods, flush=True))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.stop)

    def stop_at_end_of_input() -> None:
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(running.stop)

    threading.Thread(target=stop_at_end_of_input, daemon=True).start()
    return await running.run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="traffic", description=__doc__)
    parser.add_argument("--address", required=True, help="the router's")
    parser.add_argument("--http-port", type=int, default=80)
    parser.add_argument("--https-port", type=int, default=443)
    parser.add_argument("--ca", default="", help="file with the authority to verify certificates with (default: no verification)")
    add = parser.add_subparsers(dest="command", required=True).add_parser
    add("ask", help="read questions (JSON) from standard input, print the answers")
    running = add("load", help="print 'ready' and the pods of the websockets when all goes well, and a summary (JSON) when standard input ends")
    running.add_argument("--url", action="append", default=[], help="what to request; may be repeated")
    running.add_argument("--loops", type=int, default=1, help="connections that make requests, each for one URL in turn")
    running.add_argument("--websocket", action="append", default=[], help="URL of a websocket that echoes; may be repeated")
    running.add_argument("--pause", type=float, default=0.1, help="seconds between the requests of a loop")
    running.add_argument("--beat", type=float, default=0.5, help="seconds between the messages of a websocket")
    running.add_argument("--seconds", type=float, default=60.0, help="end after as many")
    running.add_argument("--requests", type=int, default=1_000_000, help="end after as many")
    return parser


if __name__ == "__main__":
    sys.exit(main())
