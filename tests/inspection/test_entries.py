"""A file that a user says is an entry of the catalog is compared with it."""

import gzip
from dataclasses import replace
from types import MappingProxyType

import pytest
import torch
from torch import nn

from denseformer.checkpoints import CheckpointError, cache, catalog
from denseformer.checkpoints.catalog import WeightFile
from denseformer.checkpoints.common import file_hash
from denseformer.checkpoints.signatures import table
from denseformer.cli import main
from denseformer.inspection.entries import compared
from denseformer.inspection.fits import shapes_of

SMALL = WeightFile(
    name='small_net', network='Swin', arch='small', kind='imagenet', task='classification', data='ImageNet-1K',
    license='MIT', commercial=True, official=True, source='here:README.md', file='small_net.pth',
)  # fmt: skip


@pytest.fixture
def swin(tmp_path):
    """A file of Swin-tiny, which takes no room: all of its numbers are one."""
    shapes = shapes_of({'type': 'denseformer.Swin', 'arch': 'tiny'})
    torch.save({'model': {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}}, tmp_path / 'swin.pth')
    return tmp_path / 'swin.pth'


def test_a_file_of_the_entry_says_what_it_holds(swin):
    assert compared(replace(SMALL, arch='tiny'), swin) == "It holds Swin(arch='tiny')."


def test_a_file_is_compared_by_its_content_not_by_its_name(swin):
    with pytest.raises(CheckpointError, match=r"swin\.pth\.tar: holds Swin\(arch='tiny'\)"):
        compared(SMALL, swin.rename(swin.with_name('swin.pth.tar')))


@pytest.mark.parametrize(
    ('changes', 'other'), [({}, "Swin(arch='small')"), ({'network': 'NAT', 'arch': 'mini'}, 'NAT')]
)
def test_a_file_of_another_size_or_network_is_refused_with_both(swin, changes, other):
    with pytest.raises(CheckpointError) as refused:
        compared(replace(SMALL, **changes), swin)
    assert f"{swin}: holds Swin(arch='tiny'), and small_net is {other}" in str(refused.value)


def test_a_file_of_another_scale_is_refused_with_both(tmp_path):
    x3 = shapes_of(table()['configs']['cfsr_x3_set5']['network'])
    torch.save({key: torch.zeros(()).expand(shape) for key, shape in x3.items()}, tmp_path / 'x3.pth')
    entry = replace(SMALL, network='CFSR', arch='base', config='cfsr_x2_set5')
    with pytest.raises(CheckpointError, match=r"scale=3.* and small_net is CFSR\(arch='base', scale=2\)"):
        compared(entry, tmp_path / 'x3.pth')
    assert 'It holds CFSR' in compared(replace(entry, config='cfsr_x3_set5'), tmp_path / 'x3.pth')


def test_entries_of_networks_that_are_not_known_take_any_file(swin, tmp_path):
    assert compared(replace(SMALL, network='ResNet', arch='r50'), swin) == "It holds Swin(arch='tiny')."
    assert compared(replace(SMALL, task='depth estimation (head only)'), swin).endswith('a head alone.')
    (tmp_path / 'tf.tar.gz').write_bytes(gzip.compress(b'weights', mtime=0))
    assert compared(SMALL, tmp_path / 'tf.tar.gz') == 'Not compared with the entry: it is an archive.'
    torch.save({'weight': torch.ones(3)}, tmp_path / 'other.pth')
    assert 'none that is known here' in compared(SMALL, tmp_path / 'other.pth')
    torch.save(nn.Identity(), tmp_path / 'code.pth')
    assert 'Not compared with the entry' in compared(SMALL, tmp_path / 'code.pth')


def test_a_model_of_the_package_is_not_replaced(swin):
    with pytest.raises(CheckpointError, match='upernet_dinat_pico_sample comes with the package'):
        cache.add(swin, 'upernet_dinat_pico_sample')


def test_the_command_refuses_another_network_unless_the_hash_is_published(swin, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('DENSEFORMER_CACHE', str(tmp_path / 'cache'))
    monkeypatch.chdir(tmp_path)

    def add(**changes):
        entry = replace(SMALL, **changes)
        for module in (catalog, cache):
            monkeypatch.setattr(module, 'catalog', lambda: MappingProxyType({entry.name: entry}))
        return main(['weights', 'add', str(swin), '--name', 'small_net'])

    assert add() == 2
    assert "holds Swin(arch='tiny')" in capsys.readouterr().err
    assert cache.present(SMALL) is None
    assert add(sha256=file_hash(swin)) == 0
    cache.remove('small_net')
    assert add(arch='tiny') == 0
    assert "It holds Swin(arch='tiny')." in capsys.readouterr().out
