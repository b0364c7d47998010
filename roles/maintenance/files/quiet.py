# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""quiet.py SECONDS: waits at most so long until IPVS takes no packets in any more, and says how that went. It never fails."""
from __future__ import annotations

import sys
import time
from pathlib import Path

STATISTICS = Path("/proc/net/ip_vs_stats")
# Of seconds without a packet before it is called quiet.
LASTING = 2


def taken() -> int:
    """How many packets IPVS has taken in; 0 where there is no IPVS."""
    try:
        # Two lines of heading; then connections, incoming and outgoing packets, in hexadecimal.
        return int(STATISTICS.read_text(encoding="ascii").splitlines()[2].split()[1], 16)
    except FileNotFoundError:
        return 0


def main() -> None:
    end = time.monotonic() + float(sys.argv[1])
    before, still = taken(), 0
    while still < LASTING:
        if time.monotonic() > end:
            print("Packets for services still come in: a neighbour does not prefer other routers.")
            return
        time.sleep(1)
        now = taken()
        still = still + 1 if now == before else 0
        before = now
    print("No packets for services come in.")


if __name__ == "__main__":
    main()
