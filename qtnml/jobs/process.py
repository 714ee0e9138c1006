"""Which process drives a submission, and whether it still lives."""

import os
import socket
from pathlib import Path

#: After so many seconds without a sign of life a process on another machine is given up.
SILENCE = 900.0


def this_process() -> str:
    """Machine, boot, process id and its start: the same for no other process, ever."""
    return f"{socket.gethostname()}|{_boot()}|{os.getpid()}|{_start(os.getpid())}"


def is_alive(owner: str, seconds_silent: float) -> bool | None:
    """Whether a process lives; None if it is on another machine and has been silent for long."""
    host, boot, pid, start = owner.split("|")
    here, there = _boot().split(" "), boot.split(" ")
    if host != socket.gethostname() or (here[0] == there[0] and here != there):
        return True if seconds_silent < SILENCE else None
    if here != there:
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _start(int(pid)) == start and not _is_zombie(int(pid))


def _boot() -> str:
    """The machine's boot, and which of its containers counts process ids."""
    try:
        namespace = Path("/proc/self/ns/pid").readlink().name
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {namespace}"
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _start(pid: int) -> str:
    """Ticks since boot at which a process started: process ids are used again."""
    fields = _stat(pid)
    return fields[19] if len(fields) > 19 else ""


def _is_zombie(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] == "Z"
