"""A file changes what its base refers to, as the command line does."""

import pytest

from denseformer.config.audit import audit
from denseformer.config.errors import ConfigError
from denseformer.config.loading import load_config

BASE = 'denseformer::upernet_dinat_ade20k.py'


@pytest.fixture
def load(tmp_path):
    def load(text: str, base: str = BASE, name: str = 'child.py'):
        path = tmp_path / name
        path.write_text(f'_base_ = {base!r}\n{text}\n')
        return load_config(path)

    return load


def test_the_backbone_of_the_model_is_the_backbone_of_the_config(load):
    config = load("model = dict(backbone=dict(arch='large'), decode_head=dict(channels=96))")
    assert config.model.backbone.arch == config.backbone.arch == 'large'
    assert tuple(config.model.decode_head.in_channels) == (192, 384, 768, 1536)
    assert config.model.decode_head.channels == 96
    assert not list(audit(config, data=False))


def test_a_dict_replaces_the_name_of_a_variant(load):
    config = load('backbone = dict(arch=dict(width=24, depths=(1, 1, 1, 1), heads=(1, 2, 4, 8), mlp_ratio=2))')
    assert config.model.backbone.arch == config.backbone.arch
    assert config.backbone.arch.width == 24
    assert tuple(config.model.decode_head.in_channels) == (24, 48, 96, 192)


def test_a_dict_in_place_of_any_other_text_is_refused(load):
    with pytest.raises(ConfigError, match='data_root is a dict'):
        load("data_root = dict(path='/x')")
    with pytest.raises(ConfigError, match='type is a dict'):
        load("backbone = dict(type=dict(name='Swin'))")


def test_what_is_no_shared_key_is_changed_where_it_is_referred_to(load):
    config = load("test_dataloader = dict(batch_size=4, dataset=dict(data_root='/x'))")
    assert (config.test_dataloader.batch_size, config.val_dataloader.batch_size) == (4, 1)
    assert config.test_dataloader.dataset.data_root == '/x'
    assert config.test_dataloader.dataset.type == config.val_dataloader.dataset.type
    assert config.val_dataloader.dataset.data_root != '/x'


def test_parts_of_the_training_data_and_of_the_optimizer_are_changed(load):
    base = 'denseformer::cfsr_x3_set5.py'
    config = load("val_dataloader = dict(dataset=dict(data_root='/x'))", base)
    assert config.val_dataloader.dataset.data_root == '/x'
    assert config.val_dataloader.dataset.type == 'denseformer.RestorationImages'
    config = load('optim_wrapper = dict(optimizer=dict(lr=0.5))')
    assert config.optim_wrapper.optimizer.lr == 0.5


def test_files_on_top_of_one_another_change_one_thing_each(load, tmp_path):
    load("model = dict(backbone=dict(arch='large', drop_path_rate=0.1))", name='middle.py')
    config = load('model = dict(backbone=dict(drop_path_rate=0.2))', str(tmp_path / 'middle.py'))
    assert (config.backbone.arch, config.backbone.drop_path_rate) == ('large', 0.2)


def test_a_dict_may_still_replace_a_reference(load):
    replaced = load('test_dataloader = dict(_delete_=True, batch_size=4)').test_dataloader
    assert replaced == {'batch_size': 4}


def test_a_dict_on_the_command_line_goes_through_references_too():
    config = load_config('configs/upernet_dinat_ade20k.py', {'model.backbone': {'arch': 'large'}})
    assert config.backbone.arch == 'large'
    config = load_config('configs/upernet_dinat_ade20k.py', {'test_dataloader': {'dataset': {'data_root': '/x'}}})
    assert config.test_dataloader.dataset.type == config.val_dataloader.dataset.type
    assert config.val_dataloader.dataset.data_root != '/x'
