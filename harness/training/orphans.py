"""No training goes on after whoever asked for it is gone.

Ultralytics starts the ranks of a multi-GPU training below a launcher of torch's. A harness that is killed takes neither
with it: they would go on writing into the folder in which the next attempt resumes. Each rank therefore ends itself,
and torch's launcher ends with its ranks.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import MutableMapping

import psutil

# Environment variable: number and start time of the process to end with.
WATCHED = "CLO_NAS_ENDS_WITH"
_SECONDS = 2.0


def let_ranks_end_with_me(environment: MutableMapping[str, str] = os.environ) -> None:
    """Make processes that are started from here on end with this one, if they call `end_with_the_watched`."""
    me = psutil.Process()
    environment[WATCHED] = f"{me.pid}:{me.create_time()}"  # numbers are given out again; with the time they are unique


def end_with_the_watched(every_s: float = _SECONDS) -> None:
    """Watch from a thread of its own; does nothing where no process is named, or where it is this one."""
    named = os.environ.get(WATCHED)
    if named and int(named.partition(":")[0]) != os.getpid():
        threading.Thread(target=_watch, args=(named, every_s), daemon=True).start()


def _watch(named: str, every_s: float) -> None:
    number, _, started = named.partition(":")
    while _lives(int(number), float(started)):
        time.sleep(every_s)
    os._exit(1)  # no clean-up: other ranks wait for this one, and would for ever


def _lives(number: int, started: float) -> bool:
    try:
        process = psutil.Process(number)
        return process.create_time() == started and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
