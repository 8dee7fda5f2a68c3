"""The number of threads follows the cores that are free, and settings of the user stay."""

import subprocess
import sys
import time

import pytest

from denseformer import threads
from denseformer.threads import busy_cores, choose_for, core_times, cpu_quota

STAT = """cpu  10 0 10 80 0 0 0 0 0 0
cpu0 {0} 0 0 {1} 0 0 0 0 0 0
cpu1 {2} 0 0 {3} 0 0 0 0 0 0
intr 1 2 3
"""


@pytest.fixture
def machine(monkeypatch):
    def set_machine(cores: int, busy: float) -> None:
        monkeypatch.setattr(threads, 'usable_cores', lambda: cores)
        monkeypatch.setattr(threads, 'busy_cores', lambda seconds: busy)

    return set_machine


@pytest.mark.parametrize(
    ('cores', 'busy', 'chosen', 'passive', 'says'),
    [
        (1, 0.1, 1, False, '1 of 1, it is free'),
        (1, 1.0, 1, False, '1 of 1, it is busy'),
        (2, 0.2, 2, False, '2 of 2, none is busy'),
        (2, 1.1, 1, True, '1 of 2, the other is busy'),
        (2, 2.0, 1, True, '1 of 2, both are busy'),
        (16, 1.0, 15, True, '15 of 16, 1 is busy'),
        (16, 5.6, 10, True, '10 of 16, 6 are busy'),
        (16, 16.0, 1, True, '1 of 16, 16 are busy'),
    ],
)
def test_free_cores_decide(machine, cores, busy, chosen, passive, says):
    machine(cores, busy)
    environment: dict[str, str] = {}
    assert choose_for(environment, None) == says
    assert environment['OMP_NUM_THREADS'] == environment['MKL_NUM_THREADS'] == str(chosen)
    assert environment.get('OMP_WAIT_POLICY') == ('passive' if passive else None)


def test_settings_of_the_user_stay(machine):
    machine(8, 0)
    environment = {'OMP_NUM_THREADS': '3'}
    assert choose_for(environment, None) == 'as OMP_NUM_THREADS=3 says'
    assert environment == {'OMP_NUM_THREADS': '3'}


def test_the_flag_comes_before_settings_of_the_user(machine):
    machine(8, 0)
    environment = {'OMP_NUM_THREADS': '3', 'OMP_WAIT_POLICY': 'active'}
    assert choose_for(environment, 2) == '2, as --threads says'
    assert environment['OMP_NUM_THREADS'] == '2'
    assert environment['OMP_WAIT_POLICY'] == 'active'


def test_processes_of_a_launcher_share_the_cores(machine):
    machine(16, 9)
    environment = {'SLURM_NTASKS_PER_NODE': '4'}
    assert choose_for(environment, None) == '4 of 16, which 4 processes share'
    assert environment['OMP_NUM_THREADS'] == '4'


def test_less_than_one_thread_is_refused():
    with pytest.raises(ValueError, match='at least 1'):
        threads.choose(0)


def test_ticks_that_are_not_idle_are_busy(tmp_path, monkeypatch):
    stat = tmp_path / 'stat'
    stat.write_text(STAT.format(0, 0, 0, 0))
    assert core_times(STAT.format(1, 2, 3, 4)) == {0: (2, 3), 1: (4, 7)}
    monkeypatch.setattr(threads.os, 'sched_getaffinity', lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(time, 'sleep', lambda _: stat.write_text(STAT.format(25, 0, 5, 20)))
    assert busy_cores(0.25, stat) == pytest.approx(1.2)
    assert busy_cores(0.25, tmp_path / 'none') == 0


@pytest.mark.parametrize(
    ('files', 'cores'),
    [
        ({'cpu.max': '150000 100000'}, 1.5),
        ({'cpu.max': 'max 100000'}, float('inf')),
        ({'cpu/cpu.cfs_quota_us': '400000', 'cpu/cpu.cfs_period_us': '100000'}, 4),
        ({'cpu/cpu.cfs_quota_us': '-1', 'cpu/cpu.cfs_period_us': '100000'}, float('inf')),
        ({}, float('inf')),
    ],
)
def test_the_quota_of_a_control_group_is_read(tmp_path, files, cores):
    (tmp_path / 'cpu').mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert cpu_quota(tmp_path) == cores


def test_a_child_inherits_the_choice_and_pytorch_follows_it(monkeypatch):
    for name in threads.OWN_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    code = (
        'import subprocess, sys; from denseformer import threads; threads.choose(1);'
        'subprocess.run([sys.executable, "-c", "import torch; print(torch.get_num_threads())"])'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ['1']
    assert done.stderr.startswith('threads: 1, as --threads says')


def test_parsing_a_command_does_not_load_pytorch():
    code = (
        'import sys; from denseformer.cli import build_parser;'
        'build_parser().parse_args(["train", "c.py", "--cfg-options", "a.b=3"]); print("torch" in sys.modules)'
    )
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout == 'False\n'
