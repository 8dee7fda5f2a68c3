"""The number of threads that commands choose, against fixed numbers, alone and beside busy programs.

    python -m benchmarks.threads [--rounds 15] [--steps 5]

A training step of the sample set's backbone is timed in processes that live side by side and take turns: one whose
threads were chosen by `denseformer.threads`, and one for each fixed setting. Beside one and two busy programs, which
count in a loop, all of them are started again, so that the choice sees these programs.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from denseformer import threads

CHOSEN = 'chosen'
CONFIG = 'configs/upernet_dinat_nano_sample.py'
BATCH, SIDE = 4, 128
BUSY = 'while True: pass'


def fixed_settings(cores: int) -> dict[str, dict[str, str]]:
    """Name -> environment of the settings that a user could choose by hand."""
    every = {'OMP_NUM_THREADS': str(cores)}
    return {
        '1 thread': {'OMP_NUM_THREADS': '1'},
        f'{cores} threads': every,
        f'{cores} threads, passive': {**every, 'OMP_WAIT_POLICY': 'passive'},
    }


@contextmanager
def process(*command: str, **options) -> Iterator[subprocess.Popen]:
    """A Python process that ends with the context."""
    with subprocess.Popen([sys.executable, *command], text=True, **options) as child:
        try:
            yield child
        finally:
            child.kill()


def measure(busy: int, rounds: int, steps: int) -> dict[str, list[float]]:
    """Seconds per step of each setting, one entry per round, while `busy` programs run."""
    clean = {name: value for name, value in os.environ.items() if name not in threads.OWN_SETTINGS}
    settings = {CHOSEN: {}, **fixed_settings(threads.usable_cores())}
    with ExitStack() as stack:
        for _ in range(busy):
            stack.enter_context(process('-c', BUSY))
        workers = {}
        for name, variables in settings.items():  # one after the other: the choice must not see the others start
            pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**clean, **variables})
            worker = stack.enter_context(process('-m', 'benchmarks.threads', '--worker', str(steps), **pipes))
            assert worker.stdout.readline() == 'ready\n'
            workers[name] = worker
        seconds = {name: [] for name in workers}
        for _ in range(rounds):
            for name, worker in workers.items():
                print('go', file=worker.stdin, flush=True)
                seconds[name].append(float(worker.stdout.readline()))
        return seconds


def work(steps: int) -> None:
    """Time `steps` training steps for each line of the standard input."""
    threads.choose()
    import torch

    from denseformer.config.loading import load_config
    from denseformer.registry import MODELS

    torch.manual_seed(0)
    network = MODELS.build(load_config(CONFIG).backbone).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    image = torch.randn(BATCH, 3, SIDE, SIDE)

    def step() -> None:
        optimizer.zero_grad()
        torch.stack([each.square().mean() for each in network(image)]).sum().backward()
        optimizer.step()

    step()
    print('ready', flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        for _ in range(steps):
            step()
        print((time.perf_counter() - started) / steps, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m benchmarks.threads', description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--steps', type=int, default=5, help='of training, in each turn')
    parser.add_argument('--worker', type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    for busy in range(3):
        medians = {
            name: statistics.median(seconds) for name, seconds in measure(busy, options.rounds, options.steps).items()
        }
        best = min(value for name, value in medians.items() if name != CHOSEN)
        row = ', '.join(f'{name} {value:.3f}' for name, value in medians.items())
        print(f'{busy} busy: {row} s; chosen / best fixed {medians[CHOSEN] / best:.2f}', flush=True)


if __name__ == '__main__':
    main()
