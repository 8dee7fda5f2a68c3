"""A run ends where it no longer improves, at the same place when it was interrupted."""

import pytest
import tiny

from denseformer.config.errors import ConfigError
from denseformer.engine.hooks.patience import waited
from denseformer.engine.launch import set_validation
from denseformer.options import TrainOptions


def patient(folder, iters: int, patience: int = 2):
    """A run whose score never changes, and so is the best at its first validation."""
    cfg = tiny.with_validation(tiny.config(folder, iters=iters, interval=1), interval=1, save_best='acc')
    set_validation(cfg, TrainOptions(patience=patience, val_batch_size=2))
    return cfg


def test_training_ends_after_so_many_validations_without_a_better_score(tmp_path):
    cfg = patient(tmp_path, 9)
    assert cfg.val_dataloader.batch_size == 2
    runner, losses = tiny.train(cfg)
    assert max(losses) == runner.iter == 3


def test_a_resumed_run_has_waited_as_long_as_the_uninterrupted_one(tmp_path):
    tiny.train(patient(tmp_path, 2))
    _, losses = tiny.train(patient(tmp_path, 9), resume=True)
    assert list(losses) == [3]
    _, losses = tiny.train(patient(tmp_path, 9), resume=True)
    assert not losses


@pytest.mark.parametrize(
    ('scores', 'greater', 'count'),
    [([], True, 0), ([1, 3, 2, 3], True, 2), ([1, 3, 2, 4], True, 0), ([3, 1, 2], False, 1)],
)
def test_equal_scores_are_no_better_ones(scores, greater, count):
    assert waited(scores, greater=greater) == count


def test_patience_without_a_score_to_watch_is_refused(tmp_path):
    cfg = tiny.config(tmp_path)
    with pytest.raises(ConfigError, match='no val_dataloader'):
        set_validation(cfg, TrainOptions(patience=2))
    with pytest.raises(ConfigError, match='save_best'):
        set_validation(tiny.with_validation(cfg, 1), TrainOptions(patience=2))
    with pytest.raises(ValueError, match='at least 1'):
        TrainOptions(patience=0)
