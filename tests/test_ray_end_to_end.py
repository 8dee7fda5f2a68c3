"""On a Ray cluster whose nodes are processes of this machine: actors, ranks and a node are lost, and no result is."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import forks
import numpy as np
import pytest
import tiny
import torch
from filelock import FileLock
from on_clusters import wait_for, waiting_predictor
from PIL import Image

from denseformer.checkpoints import newest_checkpoint, read_checkpoint
from denseformer.cli import main
from denseformer.inference import on_ray, predict_folder

pytest.importorskip('ray', reason="Ray is not installed: pip install 'denseformer[ray]'")

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {
    'PYTHONPATH': os.pathsep.join([str(ROOT), str(ROOT / 'tests/support')]),
    'RAY_AUTH_MODE': 'disabled',
    'RAY_USAGE_STATS_ENABLED': '0',
    'RAY_DEDUP_LOGS': '0',
}
SMALL = {'object_store_memory': 80 * 2**20}
LOST_AFTER = {'health_check_period_ms': 1000}
"""How soon a node that does not answer counts as lost."""


@contextmanager
def cluster_of(monkeypatch, *, cpus: int) -> Iterator[Any]:
    """A cluster of one node, whose address commands find in their environment; one at a time on a machine."""
    from ray.cluster_utils import Cluster

    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    head = {**SMALL, 'num_cpus': cpus, 'include_dashboard': False, '_system_config': LOST_AFTER}
    with FileLock(Path(gettempdir()) / 'denseformer-tests-ray.lock'):
        cluster = Cluster(initialize_head=True, head_node_args=head)
        monkeypatch.setenv('RAY_ADDRESS', cluster.address)
        try:
            yield cluster
        finally:
            cluster.shutdown()


def content(out: Path) -> dict[str, bytes]:
    """All that a run holds but for what was measured."""
    lines = [json.loads(line) for line in (out / 'results.jsonl').read_text().splitlines()]
    timeless = [{key: value for key, value in entry.items() if key != 'ms'} for entry in lines]
    files = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob('*.png')}
    return {**files, 'results': json.dumps(timeless).encode()}


def test_a_prediction_that_loses_an_actor_and_a_node_is_that_of_one_process(tmp_path, monkeypatch):
    images, seen = tmp_path / 'in', tmp_path / 'seen'
    (images / 'more').mkdir(parents=True)
    seen.mkdir()
    for i in range(20):
        pixels = np.random.default_rng(i).integers(0, 255, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(images / ('more' if i % 2 else '') / f'{i:02d}.png')
    (images / 'broken.png').write_bytes(b'no image')
    predictor = waiting_predictor(seen)
    (seen / 'go').touch()
    predict_folder(predictor, images, tmp_path / 'one')
    for path in seen.iterdir():
        path.unlink()
    monkeypatch.setattr(on_ray, 'BATCHES', 2)

    lost: list[Any] = []

    def disturb(cluster: Any, node: Any) -> None:
        try:
            killed, _ = wait_for(seen, 2)
            os.kill(killed, signal.SIGKILL)
            wait_for(seen, 3)  # another one has the images of the one that was killed
            cluster.remove_node(node, allow_graceful=False)
            lost.append(node)
        finally:
            (seen / 'go').touch()

    with cluster_of(monkeypatch, cpus=0) as cluster:
        _, doomed = (cluster.add_node(**SMALL, num_cpus=1) for _ in range(2))
        disturbing = threading.Thread(target=disturb, args=(cluster, doomed))
        disturbing.start()
        summary = predict_folder(predictor, images, tmp_path / 'many', engine='ray', workers=2)
        disturbing.join()
    assert len(lost) == 1
    assert (summary['predicted'], summary['failed'], summary['interrupted']) == (20, 1, False)
    assert content(tmp_path / 'many') == content(tmp_path / 'one')
    assert not list(tmp_path.rglob('.unfinished'))


def test_a_training_that_loses_a_rank_in_its_second_epoch_goes_on_from_the_first(tmp_path, monkeypatch):
    settings = dict(epochs=3, interval=1, batch=3)
    whole = dict(**settings, launcher='pytorch')
    assert forks.in_processes(2, lambda rank: tiny.train(tiny.config(tmp_path / 'whole', **whole))) == [0, 0]
    config = tiny.config(tmp_path / 'unused', **settings)
    config.custom_imports = dict(imports=['tiny', 'on_clusters'])
    config.custom_hooks.append(dict(type='DieOnceHook', at=3, rank=1, mark=str(tmp_path / 'died')))
    config.log_level = 'INFO'
    config.dump(tmp_path / 'config.py')
    with cluster_of(monkeypatch, cpus=2):
        flags = ['--engine', 'ray', '--workers', '2', '--work-dir', str(tmp_path / 'cut')]
        assert main(['train', str(tmp_path / 'config.py'), *flags]) == 0
    assert (tmp_path / 'died').exists()
    logs = '\n'.join(path.read_text() for path in (tmp_path / 'cut').glob('*/*.log'))
    assert logs.count('Resumes from') == 1
    assert 'epoch_1.pth' in logs.split('Resumes from')[1][:200]
    one, two = (read_checkpoint(newest_checkpoint(tmp_path / run)[0]) for run in ('whole', 'cut'))
    assert one['meta']['iter'] == two['meta']['iter'] == 6
    for name, value in one['state_dict'].items():
        torch.testing.assert_close(value, two['state_dict'][name], rtol=0, atol=1e-6)
