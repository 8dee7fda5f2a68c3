"""Configs that ship are found by name, listed with what they train, and built on from anywhere."""

import pytest

from denseformer.config.audit import audit
from denseformer.config.loading import ConfigError, load_config
from denseformer.config.shipped import (
    as_table,
    config_names,
    describe,
    find_config,
    published_scores,
    shipped_configs,
)


@pytest.mark.parametrize('name', ['upernet_dinat_ade20k', 'upernet_dinat_ade20k.py'])
def test_a_name_finds_the_shipped_config_from_any_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config(name)
    assert config.backbone.type == 'denseformer.DiNAT'
    assert config.model.decode_head.num_classes == 150


def test_a_file_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'upernet_dinat_ade20k.py').write_text('published = None')
    assert find_config('upernet_dinat_ade20k.py').resolve() == tmp_path / 'upernet_dinat_ade20k.py'


@pytest.mark.parametrize('name', ['upernet_dinat_ade20k.pth', 'elsewhere/upernet_dinat_ade20k.py', '_base_'])
def test_what_is_no_name_of_a_config_finds_none(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(name) is None


def test_a_misspelt_name_is_told_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="Did you mean 'upernet_dinat_ade20k'"):
        load_config('upernet_dinta_ade20k')


def test_a_config_elsewhere_builds_on_shipped_bases(tmp_path):
    bases = ['backbones/dinat', 'heads/upernet', 'datasets/ade20k', 'schedules/adamw_160k', 'runtime/default']
    path = tmp_path / 'mine.py'
    lines = [f'_base_ = {[f"denseformer::_base_/{base}.py" for base in bases]}']
    path.write_text('\n'.join([*lines, "backbone = dict(arch='tiny', pretrained='imagenet1k', drop_path_rate=0.3)"]))
    config = load_config(path)
    assert config.model == load_config('upernet_dinat_ade20k').model
    assert list(audit(config, data=False)) == []


def test_a_shipped_base_that_is_missing_is_named(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'denseformer::_base_/heads/upernot.py'")
    with pytest.raises(ConfigError, match='upernot'):
        load_config(path)


@pytest.mark.parametrize(
    ('name', 'line'),
    [
        ('upernet_dinat_ade20k', ('semantic segmentation', 'ade20k', 'mIoU 47.8, multi-scale 48.8')),
        ('retinanet_swin_voc', ('detection', 'voc', '')),
        ('mask_rcnn_dinat_coco', ('instance segmentation', 'coco', 'box AP 48.6, mask AP 43.5')),
        ('mask2former_dinat_large_panoptic_ade20k', ('panoptic segmentation', 'ade20k', 'PQ 49.4')),
        ('hat_x2_df2k', ('super-resolution', 'df2k', 'PSNR 38.63, SSIM 0.963 on Set5')),
        ('essaformer_x2_cave', ('hyperspectral super-resolution', 'cave', '')),
        ('mae_vit_base_ade20k', ('training without labels', 'ade20k', '')),
        ('eomt_dinov2_large_panoptic_coco', ('panoptic segmentation', 'coco', 'PQ 56.0')),
    ],
)
def test_a_config_says_what_it_trains(name, line):
    about = describe(name)
    assert (about.task, about.data) == line[:2]
    assert about.result.startswith(line[2])


def test_every_shipped_config_is_listed_and_words_choose_among_them():
    listed = list(shipped_configs())
    assert [config.name for config in listed] == config_names()
    chosen = list(shipped_configs(['DiNAT', 'panoptic', 'coco']))
    assert chosen
    assert all('dinat' in config.name and config.task == 'panoptic segmentation' for config in chosen)
    assert list(shipped_configs(['no such thing'])) == []


def test_columns_of_the_list_are_aligned():
    lines = as_table([describe('upernet_dinat_ade20k'), describe('hat_x2_df2k')]).splitlines()
    assert lines[0].index('semantic') == lines[1].index('super-resolution')


def test_scores_name_their_metrics():
    assert published_scores({'metric': 'PQ', 'value': 53.2, 'mIoU': 63.2, 'source': 'a table'}) == 'PQ 53.2, mIoU 63.2'
