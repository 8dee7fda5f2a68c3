"""Processes of a cluster in tests: they are told from one another, and wait to be killed."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from denseformer.inference import Predictor
from denseformer.options import PredictionOptions
from denseformer.restoration.networks import CFSR


class WaitingNetwork(CFSR):
    """A small network that doubles an image's size, says who runs it, and waits until it may go on.

    folder: a file named by the process appears there; forward returns when there is a file 'go'.
    """

    def __init__(self, folder: Path):
        super().__init__(arch=dict(dim=8, groups=1, blocks=1, kernel_size=3, mlp_ratio=1), scale=2)
        self.folder = folder

    def forward(self, image: Tensor) -> Tensor:
        (self.folder / str(os.getpid())).touch()
        while not (self.folder / 'go').exists():
            time.sleep(0.02)
        return super().forward(image)


def waiting_predictor(folder: Path) -> Predictor:
    """A predictor with the same random weights each time."""
    torch.manual_seed(0)
    predictor = Predictor.__new__(Predictor)
    predictor.__setstate__({'model': WaitingNetwork(folder).eval(), 'config': None, 'settings': PredictionOptions()})
    return predictor


def wait_for(folder: Path, count: int, seconds: float = 400.0) -> list[int]:
    """The processes that ran the network, when there are `count` of them, in the order in which they came."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        processes = [int(path.name) for path in found if path.name.isdecimal()]
        if len(processes) >= count:
            return processes
        time.sleep(0.02)
    raise TimeoutError(f'{count} processes were awaited in {folder}.')


@HOOKS.register_module(force=True)
class DieOnceHook(Hook):
    """Lets the process of a rank be killed after an iteration, unless the file `mark` is there, which it leaves."""

    def __init__(self, at: int, rank: int, mark: str):
        self.at, self.rank, self.mark = at, rank, Path(mark)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if runner.iter + 1 == self.at and get_rank() == self.rank and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
