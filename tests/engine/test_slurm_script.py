"""The Slurm script against stand-ins for `srun` and `scontrol`: what is started, and when the job is queued again."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / 'docker/slurm/train.sh'


@pytest.fixture
def cluster(tmp_path):
    """Starts the script with an `srun` that runs the given lines; returns the process."""

    def start(srun: str, *arguments: str, **variables: str) -> subprocess.Popen:
        scontrol = f'if [ "$1" = show ]; then echo node7; else echo "$@" >> {tmp_path}/scontrol.log; fi'
        recorded = f'echo "$MASTER_ADDR $MASTER_PORT $@" > {tmp_path}/srun.log\n{srun}'
        for name, text in (('srun', recorded), ('scontrol', scontrol)):
            (tmp_path / name).write_text(f'#!/bin/bash\n{text}\n')
            (tmp_path / name).chmod(0o755)
        job = {'SLURM_JOB_ID': '4242', 'SLURM_JOB_NODELIST': 'node[7-8]'}
        environment = {**os.environ, **job, **variables, 'PATH': f'{tmp_path}:{os.environ["PATH"]}'}
        command = [SCRIPT, *(arguments or ('config.py', '--amp'))]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return start


def requeued(tmp_path) -> bool:
    log = tmp_path / 'scontrol.log'
    return log.exists() and log.read_text() == 'requeue 4242\n'


@pytest.mark.parametrize(('status', 'queued'), [(0, False), (1, False), (75, True)])
def test_only_a_saved_run_is_queued_again(cluster, tmp_path, status, queued):
    assert cluster(f'exit {status}').wait(timeout=30) == status
    assert requeued(tmp_path) is queued
    expected = 'node7 24242 --kill-on-bad-exit=0 denseformer train config.py --amp --launcher slurm --resume\n'
    assert (tmp_path / 'srun.log').read_text() == expected


def test_a_job_that_was_restarted_too_often_is_not(cluster, tmp_path):
    assert cluster('exit 75', SLURM_RESTART_COUNT='3', MAX_RESTARTS='3').wait(timeout=30) == 75
    assert not requeued(tmp_path)


def test_the_shell_outlives_a_pre_empting_signal(cluster, tmp_path):
    process = cluster(f'touch {tmp_path}/running; sleep 1; exit 75')
    deadline = time.monotonic() + 20
    while not (tmp_path / 'running').exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 75
    assert requeued(tmp_path)


def test_a_task_of_an_array_is_its_line_of_the_file_of_runs(cluster, tmp_path):
    runs = tmp_path / 'runs.txt'
    runs.write_text('first.py --seed 1\nsecond.py --seed 2 --work-dir two\n')
    assert cluster('exit 75', str(runs), '--amp', SLURM_ARRAY_TASK_ID='2').wait(timeout=30) == 75
    started = 'denseformer train second.py --seed 2 --work-dir two --amp --launcher slurm --resume\n'
    assert (tmp_path / 'srun.log').read_text().endswith(started)
    assert requeued(tmp_path)


def test_a_task_without_a_line_starts_nothing(cluster, tmp_path):
    (tmp_path / 'runs.txt').write_text('first.py\n')
    assert cluster('exit 0', str(tmp_path / 'runs.txt'), SLURM_ARRAY_TASK_ID='2').wait(timeout=30) == 2
    assert not (tmp_path / 'srun.log').exists()
