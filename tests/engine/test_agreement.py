"""A checkpoint is used only with the classes and inputs that it was trained with."""

import re

import pytest
import tiny
import torch
from mmengine.config import Config
from torch import nn

from denseformer.checkpoints import CheckpointError
from denseformer.config.loading import load_config
from denseformer.engine.agreement import RECORD, check_agreement, describe_training
from denseformer.engine.runner import load_weights

CONFIG = 'configs/upernet_dinat_nano_sample.py'
META = {'dataset_meta': {'classes': ('ball', 'cube', 'cone')}}


def config_of(classes=('ball', 'cube', 'cone'), **preprocessor) -> Config:
    dataset = dict(type='TinyDataset', metainfo=dict(classes=classes))
    model = dict(type='TinyModel', data_preprocessor=preprocessor)
    loader = dict(dataset=dataset, batch_size=2)
    return Config(dict(default_scope='mmengine', model=model, train_dataloader=loader, test_dataloader=loader))


def test_the_same_classes_agree_however_they_are_spelled():
    check_agreement(config_of(('Ball', 'cube ', 'cone')), META, 'x.pth')


def test_the_same_classes_in_another_order_are_said_apart():
    with pytest.raises(CheckpointError, match=r"in another order: number 0 is 'ball' in the checkpoint and 'cube'"):
        check_agreement(config_of(('cube', 'ball', 'cone')), META, 'x.pth')


@pytest.mark.parametrize('meta', [META, {'CLASSES': ('ball', 'cube', 'cone')}], ids=['mmengine', 'older'])
def test_other_classes_are_refused_with_the_difference_of_the_lists(meta):
    with pytest.raises(CheckpointError, match=r'only in the checkpoint: cone; only in the config: nut, date'):
        check_agreement(config_of(('ball', 'cube', 'nut', 'date')), meta, 'x.pth')


def test_a_checkpoint_that_says_nothing_is_taken():
    check_agreement(config_of(), None, 'x.pth')
    check_agreement(config_of(), {'dataset_meta': {'classes': None}}, 'x.pth')


@pytest.mark.parametrize(
    ('name', 'value'), [('mean', [0.0, 0.0, 0.0]), ('std', [1.0, 1.0, 1.0]), ('bgr_to_rgb', False)]
)
def test_another_normalization_is_refused(name, value):
    before = dict(mean=[123.7, 116.3, 103.5], std=[58.4, 57.1, 57.4], bgr_to_rgb=True)
    meta = {**META, RECORD: describe_training(config_of(**before), processes=1, epoch_length=None)}
    check_agreement(config_of(**before), meta, 'x.pth')
    with pytest.raises(CheckpointError, match=f'trained with data_preprocessor.{name}='):
        check_agreement(config_of(**{**before, name: value}), meta, 'x.pth')


def test_input_channels_and_the_offset_of_labels_are_compared():
    config = load_config(CONFIG)
    meta = {RECORD: describe_training(config, processes=1, epoch_length=None)}
    assert meta[RECORD]['inputs']['in_channels'] == 3
    check_agreement(config, meta, 'x.pth')
    with pytest.raises(CheckpointError, match='trained with in_channels=3, the config says 4'):
        check_agreement(load_config(CONFIG, {'backbone.in_channels': 4}), meta, 'x.pth')
    with pytest.raises(CheckpointError, match='trained with reduce_zero_label=True, the config says False'):
        check_agreement(config, {'dataset_meta': {'reduce_zero_label': True}}, 'x.pth')


def test_a_run_is_not_resumed_on_other_classes(tmp_path):
    def run(classes):
        cfg = tiny.config(tmp_path, iters=3, ema=False)
        cfg.train_dataloader.dataset.metainfo = dict(classes=classes)
        return cfg

    tiny.train(run(('ball', 'cube')))
    with pytest.raises(CheckpointError, match='another order'):
        tiny.train(run(('cube', 'ball')), resume=True)


@pytest.mark.parametrize(
    ('now', 'words'),
    [
        (
            ('cube', 'ball'),
            r'its 2 classes are .* in another order.* Set metainfo\.classes to ball, cube',
        ),
        (('ball', 'star'), r'begin with those of as many other classes: cube -> star\.'),
        (('Ball', 'CUBE'), None),
        (('ball',), None),
    ],
)
def test_a_run_that_starts_from_other_classes_says_which(tmp_path, caplog, now, words):
    def run(folder, classes):
        cfg = tiny.config(tmp_path / folder, iters=1, interval=1, ema=False)
        cfg.train_dataloader.dataset.metainfo = dict(classes=classes)
        return cfg

    tiny.train(run('first', ('ball', 'cube')))
    cfg = run('second', now)
    cfg.load_from = str(tmp_path / 'first' / 'iter_1.pth')
    runner = tiny.build(cfg)
    said = []
    runner.logger.warning = said.append
    runner.train()
    notes = [text for text in said if 'classes' in text]
    assert len(notes) == (words is not None)
    assert words is None or re.search(words, notes[0])


class Model(nn.Module):
    def __init__(self, classes: int = 5):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8))
        self.decode_head = nn.Conv2d(8, classes, 1)
        self.auxiliary_head = nn.Conv2d(8, classes, 1)


@pytest.mark.parametrize('part', ['decode_head', 'body.0', 'body.1.running_mean'])
def test_a_prediction_needs_every_parameter(part):
    weights = {key: value for key, value in Model().state_dict().items() if not key.startswith(part)}
    with pytest.raises(CheckpointError, match=rf'x.pth: does not set \d parameters, which would be random: {part}'):
        load_weights(Model(), weights, 'x.pth', whole=True)
    assert any('does not set' in note for note in load_weights(Model(), weights, 'x.pth'))


def test_auxiliary_heads_may_be_missing():
    weights = {key: value for key, value in Model().state_dict().items() if not key.startswith('auxiliary_head')}
    (note,) = load_weights(Model(), weights, 'x.pth', whole=True)
    assert 'does not set 2 parameters: auxiliary_head.weight' in note


def test_a_model_of_other_classes_starts_without_the_class_layers_and_is_no_prediction():
    source, target = Model(5), Model(2)
    notes = load_weights(target, source.state_dict(), 'x.pth')
    assert torch.equal(target.body[0].weight, source.body[0].weight)
    assert any('decode_head.weight: left out, it has 5 outputs instead of 2' in note for note in notes)
    with pytest.raises(CheckpointError, match='other shapes'):
        load_weights(Model(2), source.state_dict(), 'x.pth', whole=True)


def test_tensors_that_the_model_does_not_take_may_hold_nan():
    bad = torch.full((5,), torch.nan)
    notes = load_weights(Model(), {**Model().state_dict(), 'momentum.weight': bad}, 'x.pth', whole=True)
    assert notes == ['x.pth has 1 unknown tensors: momentum.weight']
    diverged = {**Model(5).state_dict(), 'decode_head.bias': bad}
    load_weights(Model(2), diverged, 'x.pth')
    with pytest.raises(CheckpointError, match=r'x\.pth: 1 of its \d+ tensors hold NaN \(decode_head\.bias\)'):
        load_weights(Model(5), diverged, 'x.pth')


@pytest.mark.parametrize('prefix', ['_orig_mod.', 'model.', 'net_g.', 'a.b.'])
@pytest.mark.parametrize('whole', [True, False])
def test_a_shared_prefix_is_removed_and_said(prefix, whole):
    source, target = Model(), Model()
    notes = load_weights(target, {prefix + k: v for k, v in source.state_dict().items()}, 'x.pth', whole=whole)
    assert torch.equal(target.decode_head.weight, source.decode_head.weight)
    assert notes == [f"x.pth: without their prefix '{prefix}'"]
