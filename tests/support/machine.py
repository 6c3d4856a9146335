"""What this machine lets a test do."""

import os
import shutil


def can_cut_network() -> bool:
    return shutil.which("unshare") is not None and os.system("unshare -rn true 2>/dev/null") == 0


def can_mount() -> bool:
    return (
        os.geteuid() == 0
        and os.system("unshare -m sh -c 'mount -t tmpfs -o size=1m none /mnt' 2>/dev/null") == 0
    )
