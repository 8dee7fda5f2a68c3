"""Signals by which a cluster asks a process to stop, and the exit status that asks to be started again."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
EXIT_STATUS = 75
"""EX_TEMPFAIL of sysexits.h: a failure that goes away when the same command is started again."""


@contextmanager
def exit_on_signal() -> Iterator[None]:
    """Leave at once for one of SIGNALS, as a run does that has nothing to save yet. Threads receive none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, lambda *_: sys.exit(EXIT_STATUS)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
