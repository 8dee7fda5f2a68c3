"""Round trips: what stands on the command line is what the config holds."""

import pytest

from denseformer.config.errors import ConfigError
from denseformer.config.loading import load_config
from denseformer.config.overrides import REMOVE, apply_overrides, parse_override, parse_value

CONFIG = 'configs/upernet_dinat_ade20k.py'


def loaded(*texts, config=CONFIG):
    return load_config(config, dict(map(parse_override, texts)))


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('3', 3),
        ('1e-4', 1e-4),
        ('True', True),
        ('true', True),
        ('None', None),
        ('none', REMOVE),
        ('small', 'small'),
        ("'3'", '3'),
        ('(512, 512)', (512, 512)),
        ('512,512', (512, 512)),
        ('[0, 1]', [0, 1]),
        ('[]', []),
        ('[tensorboard, wandb]', ['tensorboard', 'wandb']),
        ("[{'type': 'A', 'scale': (1, 2)}]", [{'type': 'A', 'scale': (1, 2)}]),
        ('/x/my set', '/x/my set'),
        (' padded ', ' padded '),
        ('a, b', 'a, b'),
        ('a=b', 'a=b'),
        ('${backbone}', '${backbone}'),
        ('', ''),
        ('2020-01-01', '2020-01-01'),
    ],
)
def test_a_value_is_a_python_literal_or_the_text_itself(text, value):
    key, parsed = parse_override(f'some.key={text}')
    assert key == 'some.key'
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize('value', [0, -1.5, None, True, 'text', (1, 2), [1, [2]], {'a': {'b': 'c d'}}])
def test_a_literal_comes_back_from_its_repr(value):
    assert parse_value(repr(value)) == value


@pytest.mark.parametrize('text', ['data_root', '=3', ''])
def test_what_is_no_key_and_value_is_refused(text):
    with pytest.raises(ValueError, match='is not KEY=VALUE'):
        parse_override(text)


def test_a_key_of_the_model_reaches_the_backbone_and_all_that_depends_on_it():
    config = loaded('model.backbone.arch=large')
    assert config.model.backbone.arch == config.backbone.arch == 'large'
    assert tuple(config.model.decode_head.in_channels) == (192, 384, 768, 1536)


def test_a_new_key_of_the_backbone_is_set():
    assert loaded('model.backbone.init_cfg.checkpoint=a.pth').model.backbone.init_cfg == {'checkpoint': 'a.pth'}


def test_a_key_behind_another_reference_changes_there_alone():
    config = loaded('test_dataloader.batch_size=4')
    assert (config.test_dataloader.batch_size, config.val_dataloader.batch_size) == (4, 1)


def test_keys_of_the_optimizer_and_of_the_training_data_are_set():
    config = loaded('optim_wrapper.optimizer.lr=0.01', 'train_dataloader.dataset.data_root=/x/my set')
    assert config.optim_wrapper.optimizer.lr == 0.01
    assert config.train_dataloader.dataset.data_root == '/x/my set'


def test_a_place_in_a_list_is_set_by_its_number():
    ours = loaded()
    last = len(ours.param_scheduler) - 1
    assert loaded(f'param_scheduler.{last}.end=77').param_scheduler[last].end == 77
    assert loaded(f'param_scheduler[{last}].end=77').param_scheduler[last].end == 77
    assert loaded(f'param_scheduler.{last}.end=77').param_scheduler[0] == ours.param_scheduler[0]


def test_none_takes_a_key_out_and_the_literal_sets_it():
    files = {'test_files': {'gt_path': 'HR', 'img_path': 'LR'}}
    apply_overrides(files, {'test_files.img_path': REMOVE})
    assert files == {'test_files': {'gt_path': 'HR'}}
    assert 'img_path' not in loaded('test_files.img_path=none', config='configs/cfsr_x3_set5.py').test_files
    assert loaded('model.decode_head.loss_decode=None').model.decode_head.loss_decode is None


def test_dicts_are_merged_unless_they_replace():
    config = {'optimizer': {'type': 'AdamW', 'lr': 1.0}, 'pipeline': [{'a': 1}, {'b': 1}]}
    apply_overrides(config, {'optimizer': {'lr': 2.0}, 'pipeline.0': REMOVE})
    assert config == {'optimizer': {'type': 'AdamW', 'lr': 2.0}, 'pipeline': [{'b': 1}]}
    apply_overrides(config, {'optimizer': {'_delete_': True, 'type': 'SGD'}})
    assert config['optimizer'] == {'type': 'SGD'}


@pytest.mark.parametrize(
    ('key', 'message'), [('a.b', "'b' would be a key of 3"), ('c.2.d', 'no place in a list of 2'), ('c.x', 'no place')]
)
def test_a_key_that_leads_nowhere_is_refused(key, message):
    with pytest.raises(ConfigError, match=message):
        apply_overrides({'a': 3, 'c': [{}, {}]}, {key: 1})
