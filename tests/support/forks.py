"""Processes that are copies of this one, where all is imported: none outlives a test, and none is awaited for ever."""

import os
import signal
import socket
import time
import traceback
from collections.abc import Callable

DEADLINE = 500.0
"""Seconds that a process may take, less than a test may."""


class Fork:
    """A process that does `work` and ends with status 0, with that of a SystemExit, or with 1 after another error."""

    def __init__(self, work: Callable[[], object]):
        self.status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                work()
                status = 0
            except SystemExit as leaving:
                status = leaving.code or 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)

    def poll(self) -> int | None:
        """The exit status, negative for the signal that ended it; None while it runs."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status

    def wait(self, seconds: float = DEADLINE) -> int:
        """The exit status, when it has ended."""
        end = time.monotonic() + seconds
        while (status := self.poll()) is None:
            if time.monotonic() > end:
                raise TimeoutError(f'process {self.pid} runs after {seconds} s')
            time.sleep(0.01)
        return status

    def kill(self) -> None:
        """End it, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()


def in_child(work: Callable[[], object]) -> int:
    """Run `work` in a process of its own; its exit status."""
    child = Fork(work)
    try:
        return child.wait()
    finally:
        child.kill()


def in_processes(count: int, work: Callable[[int], object]) -> list[int]:
    """Run `work(rank)` in `count` processes that find each other as torchrun's do; their exit statuses."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]

    def as_rank(rank: int) -> None:
        places = {'RANK': rank, 'LOCAL_RANK': rank, 'WORLD_SIZE': count, 'MASTER_PORT': port}
        os.environ.update({name: str(value) for name, value in places.items()}, MASTER_ADDR='127.0.0.1')
        work(rank)

    children: list[Fork] = []
    try:
        for rank in range(count):
            children.append(Fork(lambda rank=rank: as_rank(rank)))
        return [child.wait() for child in children]
    finally:
        for child in children:
            child.kill()
