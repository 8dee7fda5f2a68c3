"""Two machines, as network namespaces of this one, train together through a network that stalls.

Each has an address, an interface and a torchrun of its own; they share a folder, as machines of a cluster do.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import tiny
import torch

from denseformer.checkpoints import newest_checkpoint, read_checkpoint

SETTINGS = dict(iters=8, interval=2, batch=2)
STALL = 5
"""The iteration after which the second machine loses the network."""
TIMEOUT = 5
"""Seconds that a process waits for another one; the network stalls for longer."""
ADDRESSES = '10.213.7.1', '10.213.7.2'
PORT = 29417


def worker(folder: Path, node: int) -> None:
    """One process of the training; on the second machine it waits until the network is lost."""

    def meet() -> None:
        if node == 1 and not (folder / 'stall').exists():
            (folder / 'stall').touch()
            wait_for((folder / 'stalled').exists)

    tiny.ACTIONS['meet'] = meet
    record = {'at': STALL, 'act': 'meet'}
    cfg = tiny.config(folder / 'run', **SETTINGS, launcher='pytorch', record=record)
    cfg.env_cfg.dist_cfg.timeout = TIMEOUT
    tiny.train(cfg, resume=True)


def wait_for(condition: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


class Machine:
    """A network namespace with one interface."""

    def __init__(self, number: int):
        self.number, self.name, self.interface = (
            number,
            f'df{os.getpid()}n{number}',
            f'df{os.getpid() % 10**7}v{number}',
        )

    def run(self, *command: str) -> None:
        subprocess.run(['ip', 'netns', 'exec', self.name, *command], check=True, capture_output=True)

    def stall(self) -> None:
        """Let what it sends reach nobody: nothing is refused, and nothing answers."""
        nobody = ('lladdr', '02:00:00:00:00:01', 'dev', self.interface)
        self.run('ip', 'neigh', 'replace', ADDRESSES[1 - self.number], *nobody)

    def go_on(self) -> None:
        self.run('ip', 'neigh', 'del', ADDRESSES[1 - self.number], 'dev', self.interface)

    def kill(self) -> None:
        """Kill all its processes at once."""
        found = subprocess.run(['ip', 'netns', 'pids', self.name], capture_output=True, text=True)
        for process in map(int, found.stdout.split()):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def start(self, folder: Path) -> subprocess.Popen:
        """The torchrun of this machine, in a session of its own."""
        flags = ['--nnodes=2', '--nproc-per-node=1', '--max-restarts=5', '--monitor-interval=0.1', '--rdzv-id=run']
        meeting = ['--rdzv-backend=c10d', f'--rdzv-endpoint={ADDRESSES[0]}:{PORT}']
        rules = f'is_host={1 - self.number},keep_alive_interval=1,keep_alive_max_attempt=10,last_call_timeout=1'
        own = [f'--local-addr={ADDRESSES[self.number]}', f'--rdzv-conf={rules}']
        launcher = [sys.executable, '-m', 'torch.distributed.run', *flags, *meeting, *own]
        variables = {
            **os.environ,
            'PYTHONPATH': os.pathsep.join(path for path in sys.path if path),
            'GLOO_SOCKET_IFNAME': self.interface,
            'NO_ALBUMENTATIONS_UPDATE': '1',  # it would look for a newer version, and wait
        }
        command = ['ip', 'netns', 'exec', self.name, *launcher, __file__, str(folder), str(self.number)]
        with (folder / f'log{self.number}').open('a') as log:
            return subprocess.Popen(command, env=variables, stdout=log, stderr=log)


@pytest.fixture
def machines() -> Iterator[list[Machine]]:
    """Two machines that reach each other."""
    if not os.environ.get('DENSEFORMER_SLOW'):
        pytest.skip('it takes a minute: DENSEFORMER_SLOW=1')
    if os.geteuid() != 0:
        pytest.skip('network namespaces are made by root')
    both = [Machine(0), Machine(1)]
    try:
        for machine in both:
            made = subprocess.run(['ip', 'netns', 'add', machine.name], capture_output=True, text=True)
            if made.returncode:
                pytest.skip(f'this system allows no network namespaces: {made.stderr.strip()}')
        one, two = both
        link = ['ip', 'link', 'add', one.interface, 'netns', one.name, 'type', 'veth']
        subprocess.run([*link, 'peer', 'name', two.interface, 'netns', two.name], check=True)
        for machine, address in zip(both, ADDRESSES, strict=True):
            machine.run('ip', 'address', 'add', f'{address}/24', 'dev', machine.interface)
            machine.run('ip', 'link', 'set', machine.interface, 'up')
            machine.run('ip', 'link', 'set', 'lo', 'up')
        yield both
    except FileNotFoundError:
        pytest.skip('there is no command `ip`')
    finally:
        for machine in both:
            subprocess.run(['ip', 'netns', 'del', machine.name], capture_output=True)


def final_weights(folder: Path) -> dict[str, torch.Tensor]:
    path, _ = newest_checkpoint(folder)
    return read_checkpoint(path)['state_dict']


def test_training_survives_a_network_that_stalls(machines, tmp_path):
    whole = dict(**SETTINGS, launcher='pytorch')
    assert tiny.in_processes(2, lambda rank: tiny.train(tiny.config(tmp_path / 'whole', **whole))) == [0, 0]
    two = machines[1]
    started = [machine.start(tmp_path) for machine in machines]
    try:
        wait_for((tmp_path / 'stall').exists)
        two.stall()
        (tmp_path / 'stalled').touch()
        wait_for(lambda: (tmp_path / 'log0').read_text().count('was silent for longer') > 0)
        two.go_on()
        assert [process.wait(300) for process in started] == [0, 0], (tmp_path / 'log0').read_text()[-3000:]
    finally:
        for machine in machines:
            machine.kill()
        for process in started:
            process.wait()
    expected, found = final_weights(tmp_path / 'whole'), final_weights(tmp_path / 'run')
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6)


if __name__ == '__main__':
    torch.set_num_threads(1)
    worker(Path(sys.argv[1]), int(sys.argv[2]))
