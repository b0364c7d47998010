# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""soft_stop.py SECONDS: stops haproxy in such a way that its connections may end, for so many seconds; prints how that went.

The distribution's unit ends haproxy by SIGTERM, which cuts connections. For this stop alone it is SIGUSR1 (haproxy's soft stop).
"""
from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

DROP_IN = Path("/run/systemd/system/haproxy.service.d/northgate-maintenance.conf")


def systemctl(*arguments: str) -> str:
    """Run systemctl; return what it printed. Ends the script when it fails."""
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"systemctl {' '.join(arguments)} failed: {done.stderr.strip()} (journalctl -u haproxy says more)")
    return done.stdout.strip()


def main() -> None:
    if systemctl("show", "--property=ActiveState", "--value", "haproxy") in ("inactive", "failed"):
        print("unchanged: it is stopped")
        return
    seconds = int(sys.argv[1])
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text(f"[Service]\nKillSignal=SIGUSR1\nTimeoutStopSec={seconds}\n", encoding="ascii")
    try:
        systemctl("daemon-reload")
        began = time.monotonic()
        systemctl("stop", "haproxy")
        took = time.monotonic() - began
    finally:
        DROP_IN.unlink()
        systemctl("daemon-reload")
    print(f"stopped, some connections were cut after {seconds} s" if took >= seconds else "stopped, its connections have ended")


if __name__ == "__main__":
    main()
