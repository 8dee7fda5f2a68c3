"""The hook that saves a run and exits when the scheduler preempts it, or before its time limit."""

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner

from denseformer.engine.hooks.checkpoint import CheckpointHook
from denseformer.registry import HOOKS
from denseformer.signals import EXIT_STATUS, SIGNALS

DURATION = re.compile(r'(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?')


class Preempted(SystemExit):
    """Raised when the run is saved, to exit with the status that means "start the same command again"."""


def parse_duration(text: str) -> float:
    """Seconds of '11h30m', '2d', '90s' or '1:30:00'. Raises ValueError for anything else."""
    match = DURATION.fullmatch(text.strip())
    if match and any(match.groups()):
        return sum(int(part or 0) * unit for part, unit in zip(match.groups(), (86400, 3600, 60, 1), strict=True))
    if re.fullmatch(r'\d+:\d\d:\d\d', text.strip()):
        hours, minutes, seconds = map(int, text.split(':'))
        return hours * 3600 + minutes * 60 + seconds
    raise ValueError(f"'{text}' is no duration: write 11h30m, 2d, 90s or 11:30:00.")


def start_worker(before: Callable[[int], None] | None, worker: int) -> None:
    """Begin a data worker: a signal that was sent to all processes of a job is for the one that saves.

    From the process that began the worker SIGTERM is the order to end, which multiprocessing gives when Python exits.
    """
    if before is not None:
        before(worker)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    threading.Thread(target=exit_with_parent, args=(os.getppid(),), daemon=True).start()


def exit_with_parent(parent: int) -> None:
    """End this process when the process `parent` says SIGTERM."""
    while True:
        received = signal.sigwaitinfo(SIGNALS)
        if received.si_signo == signal.SIGTERM and received.si_pid == parent:
            os._exit(0)


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Stops a run for SIGTERM, SIGUSR1 or the end of its time, on all ranks at the same iteration.

    time_limit: '11h30m', counted from the moment training begins; the run stops early enough for one more iteration and
        one more checkpoint, each as long as the longest iteration so far with its checkpoint.
    exit_status: of the process, once the checkpoint is written.
    """

    priority = 'LOWEST'

    def __init__(self, time_limit: str | None = None, exit_status: int = EXIT_STATUS):
        self.time_limit = parse_duration(time_limit) if time_limit else float('inf')
        self.exit_status = exit_status
        self.reason = ''
        self.longest = 0.0
        self.training = False
        self.previous: dict[int, Any] = {}

    def before_train(self, runner: Runner) -> None:
        savers = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
        if not savers:
            raise ValueError("PreemptionHook needs default_hooks.checkpoint of type 'denseformer.CheckpointHook'.")
        self.saver = savers[0]
        self.began = self.last = time.monotonic()
        self.training = True
        if threading.current_thread() is threading.main_thread():
            self.previous = {number: signal.signal(number, self._ask) for number in SIGNALS}
        else:
            runner.logger.warning(
                'Training runs in a thread, where Python takes no signals: only the time limit counts.'
            )

    def on_exit(self, runner: Runner) -> None:
        """Put back the handlers that stood there, however training ended."""
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}
        self.training = False

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now
        self._look_at_the_clock()
        if runner.optim_wrapper.should_update() and self._anyone():
            if self.saver.saved_iter != runner.iter + 1:
                self.saver.save_interrupted(runner)
            self._leave(runner, f'iteration {runner.iter + 1}')

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """End a validation early when its weights are saved; else it is finished, and the next iteration is saved."""
        if self.training and self.saver.saved_iter == runner.iter:
            self._look_at_the_clock()
            if self._anyone():
                self._leave(runner, f'iteration {runner.iter}, without its validation')

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        self.last = time.monotonic()

    def _look_at_the_clock(self) -> None:
        if not self.reason and time.monotonic() - self.began + 2 * self.longest > self.time_limit:
            self.reason = f'its {self.time_limit:.0f} s are over'

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.reason = f'it received {signal.Signals(number).name}'

    def _anyone(self) -> bool:
        asked = torch.tensor(float(bool(self.reason)))
        all_reduce(asked, op='max')
        return bool(asked.item())

    def _leave(self, runner: Runner, where: str) -> None:
        reason = self.reason or 'another rank was asked to'
        runner.logger.warning(f'Stopped: {reason}; saved at {where}. The same command with --resume continues it.')
        raise Preempted(self.exit_status)
