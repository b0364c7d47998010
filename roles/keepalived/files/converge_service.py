# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the running keepalived one that has read its configuration as it is now; print `unchanged`, `reloaded` or `restarted`.

keepalived keeps its process over a reload, so what it read last is remembered beside it. A run that was interrupted before the
reload is made good by the next one.
"""
from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

CONFIG = Path("/etc/keepalived/keepalived.conf")
# Of which process (its id) and of what (SHA-256) the last reload was. It does not outlive a boot, as little as the process does.
LOADED = Path("/run/northgate/keepalived")
PATIENCE = 10.0


def systemctl(*arguments: str) -> str:
    """Run systemctl; return what it printed. Ends the script when it fails."""
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"systemctl {' '.join(arguments)} failed: {done.stderr.strip()} (journalctl -u keepalived says more)")
    return done.stdout.strip()


def shown(name: str) -> str:
    """A property of the unit."""
    return systemctl("show", f"--property={name}", "--value", "keepalived")


def started(pid: int) -> float:
    """When a process started, as seconds since the epoch; to a hundredth, as finely as the kernel tells."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    since_boot = int(after_name[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot


def is_loaded(pid: int, mark: str) -> bool:
    """Whether the process started with this configuration, or was reloaded with it."""
    try:
        if LOADED.read_text(encoding="ascii") == mark:
            return True
    except FileNotFoundError:
        pass
    return started(pid) > CONFIG.stat().st_mtime


def speakers(pid: int) -> int:
    """How many children of the process speak VRRP. Scripts have other names."""
    return len(subprocess.run(["pgrep", "-x", "-P", str(pid), "keepalived"], capture_output=True, text=True, check=False).stdout.split())


def reload(pid: int) -> None:
    """Reload, and wait until the same process says that it is done."""
    systemctl("reload", "keepalived")
    end = time.monotonic() + PATIENCE
    while shown("ActiveState") != "active" or shown("MainPID") != str(pid):
        if time.monotonic() > end:
            sys.exit("keepalived was reloaded, and is not back. journalctl -u keepalived says why.")
        time.sleep(0.1)


def main() -> None:
    pid = int(shown("MainPID"))
    if not pid:
        sys.exit("keepalived does not run. journalctl -u keepalived says why.")
    # keepalived 2.2 starts a second one when it is reloaded while it waits to replace one that died, and both think they are alone.
    if speakers(pid) > 1:
        systemctl("restart", "keepalived")
        print("restarted: two processes spoke VRRP")
        return
    mark = f"{pid} {hashlib.sha256(CONFIG.read_bytes()).hexdigest()}"
    if is_loaded(pid, mark):
        print("unchanged")
        return
    reload(pid)
    LOADED.parent.mkdir(parents=True, exist_ok=True)
    LOADED.write_text(mark, encoding="ascii")
    print("reloaded")


if __name__ == "__main__":
    main()
