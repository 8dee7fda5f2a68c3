"""Losses reach TensorBoard, W&B and MLflow where these are installed; what is not installed is named."""

import json
import time
from pathlib import Path

import pytest
import tiny

from denseformer.engine import ConfigError, trackers


def trained(folder, tracker: str) -> tuple[Path, dict[int, float]]:
    """Train with a tracker; the folder of what it and the local log wrote, and the losses of the latter by step."""
    cfg = tiny.config(folder, iters=3)
    cfg.trackers = [tracker]
    trackers.add_trackers(cfg)
    tiny.train(cfg)
    (local,) = folder.glob('*/vis_data/scalars.json')
    rows = map(json.loads, local.read_text().splitlines())
    losses = {row['step']: row['loss'] for row in rows if 'loss' in row}
    assert sorted(losses) == [1, 2, 3]
    return local.parent, losses


def test_tensorboard(tmp_path):
    pytest.importorskip('tensorboard', reason='tensorboard is not installed: pip install denseformer[tracking]')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, losses = trained(tmp_path, 'tensorboard')
    curves = EventAccumulator(str(folder)).Reload()
    assert {event.step: event.value for event in curves.Scalars('loss')} == pytest.approx(losses, rel=1e-6)


def test_wandb_without_a_network(tmp_path, monkeypatch):
    pytest.importorskip('wandb', reason='wandb is not installed: pip install denseformer[tracking]')
    monkeypatch.setenv('WANDB_MODE', 'offline')
    folder, _ = trained(tmp_path, 'wandb')
    (record,) = folder.glob('wandb/offline-run-*/run-*.wandb')
    deadline = time.monotonic() + 30
    while b'loss' not in record.read_bytes() and time.monotonic() < deadline:  # another process writes it
        time.sleep(0.1)
    assert b'loss' in record.read_bytes()


def test_mlflow_into_files(tmp_path, monkeypatch):
    monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', 'true')
    mlflow = pytest.importorskip('mlflow', reason='mlflow is not installed: pip install denseformer[tracking]')
    folder, losses = trained(tmp_path, 'mlflow')
    client = mlflow.MlflowClient(folder.as_uri())
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    (run,) = runs
    assert run.data.metrics['loss'] == pytest.approx(losses[3], rel=1e-6)


@pytest.mark.parametrize(
    ('name', 'words'), [('tensorbord', 'there are tensorboard, wandb, mlflow'), ('wandb', 'wandb is not installed')]
)
def test_what_is_not_there_is_named(tmp_path, monkeypatch, name, words):
    monkeypatch.setattr(trackers, 'find_spec', lambda name: None)
    cfg = tiny.config(tmp_path)
    cfg.trackers = [name]
    with pytest.raises(ConfigError, match=words):
        trackers.add_trackers(cfg)
