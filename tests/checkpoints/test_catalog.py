"""The tables of published weights against the code and the configs, and how a name finds a file."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlparse

import pytest

from denseformer.backbones import Swin
from denseformer.checkpoints import CheckpointError
from denseformer.checkpoints.catalog import (
    KINDS,
    by_name,
    catalog,
    of_config,
    of_variant,
    read_table,
    search,
    starting_weights,
)
from denseformer.config.loading import load_config
from denseformer.registry import MODELS

CONFIGS = {path.stem for path in Path('configs').glob('*.py')}
OURS = {file.network for file in catalog().values() if file.network.isidentifier()}


def network(name: str):
    return MODELS.get(f'denseformer.{name}')


@pytest.mark.parametrize('name', sorted(name for name in OURS if network(name)))
def test_every_entry_of_a_network_names_a_variant_that_exists(name):
    unknown = [(file.name, file.arch) for file in catalog().values() if file.network == name and file.arch]
    assert not [entry for entry in unknown if entry[1] not in network(name).archs]


def test_every_config_of_an_entry_exists():
    assert {file.config for file in catalog().values() if file.config} <= CONFIGS


def test_entries_say_what_they_are_and_where_it_was_read():
    for file in catalog().values():
        assert file.kind in KINDS, file
        assert re.fullmatch(r'[a-z0-9_]+', file.name), file
        assert file.license, file
        assert ':' in file.source or '/' in file.source, file
        assert file.urls or file.hub or file.note or file.bundled, file
        assert all(urlparse(url).scheme == 'https' for url in file.urls), file
        assert file.sha256 is None or re.fullmatch('[0-9a-f]{6,64}', file.sha256), file
        assert file.resolution is None or 96 <= file.resolution <= 1536, file


def test_no_file_stands_in_two_entries():
    places = [(file.urls[0], file.file, file.config) for file in catalog().values() if file.urls and file.file]
    assert len(places) == len(set(places))


@pytest.mark.parametrize(
    ('arch', 'label', 'name'),
    [
        ('tiny', 'imagenet1k', 'swin_tiny_imagenet1k'),
        ('base', 'imagenet22k_384', 'swin_base_imagenet22k_384'),
        ('tiny', 'swin_tiny_imagenet22k', 'swin_tiny_imagenet22k'),
    ],
)
def test_a_label_names_a_file_of_the_variant(arch, label, name):
    assert starting_weights('Swin', arch, label).name == name


def test_a_label_without_a_resolution_stands_for_the_authors_file_nearest_to_224_pixels():
    file = starting_weights('SwinV2', 'tiny', 'imagenet1k')
    assert (file.official, file.resolution) == (True, 256)


def test_an_unknown_label_lists_the_known_ones_and_how_to_do_without():
    with pytest.raises(CheckpointError, match=r'imagenet22k.*--pretrained none'):
        starting_weights('Swin', 'tiny', 'imagenet')


@pytest.mark.parametrize(
    ('network', 'arch', 'label', 'name'),
    [
        ('DINOv2', 'small', 'lvd142m', 'dinov2_small_lvd142m_518'),
        ('DINOv2', 'large', 'reg4_lvd142m', 'dinov2_large_reg4_lvd142m_518'),
        ('DINOv2', 'webdino_7b', 'mc2b', 'dinov2_webdino_7b_mc2b_224'),
        ('DINOv3', 'base', 'lvd1689m', 'dinov3_base_lvd1689m'),
        ('ConvNeXt', 'tiny', 'dinov3_lvd1689m', 'convnext_tiny_dinov3_lvd1689m'),
        ('Hiera', 'base_plus', 'imagenet1k', 'hiera_base_plus_imagenet1k'),
        ('SAM', 'base', 'sa_1b_1024_timm', 'sam_base_sa_1b_1024_timm'),
    ],
)
def test_a_label_names_a_file_of_a_plain_backbone(network, arch, label, name):
    assert starting_weights(network, arch, label).name == name


def test_a_head_alone_is_no_start_for_a_backbone():
    files = of_variant('DINOv2', 'small')
    assert files
    assert all(file.is_whole for file in files)


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(CheckpointError, match='swin_tiny_imagenet1k'):
        by_name('swin_tiny_imagenet-1k')


def test_words_find_entries_in_any_case():
    assert {file.network for file in search(('SWIN', 'tiny', 'simmim'))} <= {'Swin', 'SwinV2'}
    assert search(('upernet', 'dinat', 'ade20k'))


def test_the_authors_finished_model_of_a_config_comes_before_ports():
    file = of_config('upernet_swin_ade20k')
    assert file.official
    assert file.metric['mIoU'] == load_config('configs/upernet_swin_ade20k.py').published['value']
    assert of_config('upernet_dinat_nano_sample') is None


def test_a_table_with_an_unknown_key_names_the_entry(tmp_path):
    (tmp_path / 'a.toml').write_text('[x]\nnetwrok = "Swin"\n')
    with pytest.raises(CheckpointError, match=r'\[x\] has the unknown key netwrok'):
        read_table(tmp_path / 'a.toml')


def test_a_network_asks_for_the_weights_that_its_option_names():
    assert Swin(arch='tiny', pretrained='imagenet1k').init_cfg['checkpoint'] == 'weights:Swin/tiny/imagenet1k'
    assert Swin(arch='tiny', pretrained='mine.pth').init_cfg['checkpoint'] == 'mine.pth'


def test_a_variant_of_ones_own_has_no_published_weights():
    with pytest.raises(ValueError, match='names weights of a published variant'):
        Swin(arch=Swin.truncated_arch(), pretrained='imagenet1k')


def test_the_list_of_published_weights_needs_no_pytorch():
    code = (
        'import sys; from denseformer.cli import main;'
        'main(["weights", "list", "swin_tiny"]); print("torch" in sys.modules)'
    )
    said = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert 'swin_tiny_imagenet1k' in said
    assert said.splitlines()[-1] == 'False'
