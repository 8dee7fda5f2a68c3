"""Scripts and jobs that predict on many machines start the command as it is, and know when a shard is done."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from denseformer.cli import build_parser
from denseformer.inference.shards import parse_shard

DOCKER = Path(__file__).parents[2] / 'docker'
INFER = ('config.py', 'a.pth', 'images.txt', '--out', '/out folder')


def run(script: str, stand_ins: dict[str, str], folder: Path, **variables: str) -> int:
    """The status of a script beside commands that run the given lines, each in a file of that name."""
    for name, text in stand_ins.items():
        (folder / name).write_text(f'#!/bin/bash\n{text}\n')
        (folder / name).chmod(0o755)
    environment = {**os.environ, **variables, 'PATH': f'{folder}:{os.environ["PATH"]}'}
    return subprocess.run([DOCKER / script, *INFER], env=environment, capture_output=True, timeout=60).returncode


@pytest.mark.parametrize(
    ('status', 'result', 'queued'), [(0, 0, ''), (1, 0, ''), (2, 2, ''), (130, 130, 'requeue 40_3\n')]
)
def test_an_array_task_is_queued_again_where_it_was_interrupted(tmp_path, status, result, queued):
    log = tmp_path / 'log'
    stand_ins = {'srun': f'printf "%q " "$@" > {log}.srun; exit {status}', 'scontrol': f'echo "$@" >> {log}'}
    task = {'SLURM_JOB_ID': '43', 'SLURM_ARRAY_JOB_ID': '40', 'SLURM_ARRAY_TASK_ID': '3'}
    assert run('slurm/infer.sh', stand_ins, tmp_path, **task) == result
    assert (log.read_text() if log.exists() else '') == queued
    started = shlex.split((tmp_path / 'log.srun').read_text())
    assert started == ['--kill-on-bad-exit=0', 'denseformer', 'infer', *INFER, '--shard', 'auto', '--resume']
    assert build_parser().parse_args(started[2:]).resume
    assert run('slurm/infer.sh', stand_ins, tmp_path, SHARDS='64', **task) == result
    assert 'auto/64' in (tmp_path / 'log.srun').read_text()


def test_ssh_starts_a_shard_for_each_process_and_names_the_machine_that_failed(tmp_path):
    log = tmp_path / 'log'
    stand_ins = {'ssh': f'echo "${{@: -2:1}} ${{@: -1}}" >> {log}; [ "${{@: -2:1}}" = two ] && exit 255; exit 1'}
    assert run('ssh/infer.sh', stand_ins, tmp_path, HOSTS='one two', PROCESSES='2') == 1
    lines = [shlex.split(line) for line in log.read_text().splitlines()]
    shards = {words[words.index('--shard') + 1]: (words[0], words[4]) for words in lines}
    assert shards == {
        f'{host * 2 + rank}/4': (name, f'LOCAL_RANK={rank}')
        for host, name in enumerate(('one', 'two'))
        for rank in range(2)
    }
    (first, *_) = [words[words.index('denseformer') + 1 :] for words in lines]
    assert build_parser().parse_args(first).out == '/out folder'
    assert run('ssh/infer.sh', {'ssh': 'exit 1'}, tmp_path, HOSTS='one two') == 0  # images failed, shards are finished


def test_the_pods_of_the_indexed_job_are_its_shards():
    job = yaml.safe_load((DOCKER / 'kubernetes/infer.yaml').read_text())
    (container,) = job['spec']['template']['spec']['containers']
    options = build_parser().parse_args(['infer', *container['args']])
    assert job['spec']['completionMode'] == 'Indexed'
    assert options.resume
    count = job['spec']['completions']
    assert str(parse_shard(options.shard, {'JOB_COMPLETION_INDEX': str(count - 1)})) == f'{count - 1}/{count}'
    assert [mount['name'] for mount in container['volumeMounts']] == [
        volume['name'] for volume in job['spec']['template']['spec']['volumes']
    ]


def test_the_ray_job_starts_the_command_on_machines_that_its_workers_fill():
    spec = yaml.safe_load((DOCKER / 'kubernetes/rayjob.yaml').read_text())['spec']
    words = shlex.split(spec['entrypoint'])
    options = build_parser().parse_args(words[1 : words.index('||')])
    assert (options.engine, options.resume) == ('ray', True)
    cluster = spec['rayClusterSpec']
    (group,) = cluster['workerGroupSpecs']
    head, worker = (each['template']['spec'] for each in (cluster['headGroupSpec'], group))
    gpus = worker['containers'][0]['resources']['limits']['nvidia.com/gpu']
    assert gpus / options.gpus_per_worker == worker['containers'][0]['resources']['limits']['cpu']  # one of each worker
    assert f'ray=={cluster["rayVersion"]}' in (DOCKER.parent / 'constraints.txt').read_text().splitlines()
    for pod in (head, worker):
        mounted = {mount['name'] for mount in pod['containers'][0]['volumeMounts']}
        assert mounted == {volume['name'] for volume in pod['volumes']}


def test_both_replicas_of_the_training_job_run_the_command():
    job = yaml.safe_load((DOCKER / 'kubernetes/pytorchjob.yaml').read_text())
    for replica in job['spec']['pytorchReplicaSpecs'].values():
        (container,) = replica['template']['spec']['containers']
        assert container['name'] == 'pytorch'
        assert container['command'][-1] == 'tools/train.py'
        assert build_parser().parse_args(['train', *container['args']]).launcher == 'pytorch'
        assert container['resources']['limits']['nvidia.com/gpu'] == int(job['spec']['nprocPerNode'])


def test_skypilot_starts_the_command_on_each_machine():
    task = yaml.safe_load((DOCKER / 'skypilot/infer.yaml').read_text())
    words = shlex.split(task['run'].replace('\\\n', ''))
    options = build_parser().parse_args(words[1 : words.index('||')])
    assert (options.shard, options.resume) == ('$SKYPILOT_NODE_RANK/$SKYPILOT_NUM_NODES', True)
