"""Two machines, as network namespaces of this one, train together through a network that stalls, and after a loss.

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

import forks
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

    def lose(self) -> None:
        """End without a farewell."""
        self.stall()
        self.kill()

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


@pytest.fixture(scope='module')
def expected(tmp_path_factory) -> dict[str, torch.Tensor]:
    """The weights that two processes of one machine end with, undisturbed."""
    folder = tmp_path_factory.mktemp('whole')
    whole = dict(**SETTINGS, launcher='pytorch')
    assert forks.in_processes(2, lambda rank: tiny.train(tiny.config(folder, **whole))) == [0, 0]
    return final_weights(folder)


def final_weights(folder: Path) -> dict[str, torch.Tensor]:
    path, _ = newest_checkpoint(folder)
    return read_checkpoint(path)['state_dict']


def start_and_lose(machines: list[Machine], folder: Path, lose: Callable[[], None]) -> list[subprocess.Popen]:
    """Start both, `lose` the second one after `STALL` iterations, and wait until the first one has noticed."""
    started = [machine.start(folder) for machine in machines]
    wait_for((folder / 'stall').exists)
    lose()
    (folder / 'stalled').touch()
    wait_for(lambda: 'was silent for longer' in (folder / 'log0').read_text())
    return started


def stop(machines: list[Machine], started: list[subprocess.Popen]) -> None:
    for machine in machines:
        machine.kill()
    for process in started:
        process.wait()


def assert_ended_well(started: list[subprocess.Popen], folder: Path, expected: dict[str, torch.Tensor]) -> None:
    assert [process.wait(300) for process in started] == [0, 0], (folder / 'log0').read_text()[-3000:]
    found = final_weights(folder / 'run')
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6)


def test_training_survives_a_network_that_stalls(machines, expected, tmp_path):
    started = start_and_lose(machines, tmp_path, machines[1].stall)
    try:
        machines[1].go_on()
        assert_ended_well(started, tmp_path, expected)
    finally:
        stop(machines, started)


def test_training_that_lost_a_machine_goes_on_when_both_are_started_again(machines, expected, tmp_path):
    stop(machines, start_and_lose(machines, tmp_path, machines[1].lose))
    machines[1].go_on()
    started = [machine.start(tmp_path) for machine in machines]
    try:
        assert_ended_well(started, tmp_path, expected)
    finally:
        stop(machines, started)


if __name__ == '__main__':
    torch.set_num_threads(1)
    worker(Path(sys.argv[1]), int(sys.argv[2]))
