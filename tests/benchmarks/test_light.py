"""Light backbones in their deployed forms: what takes part, and the tables that are made of it."""

from dataclasses import asdict

import pytest
from torch import nn

from benchmarks.harness import AbsentError, Measurement
from benchmarks.light import AUTHORS, VARIANTS, check_maps, comparisons, fused, title, title_beside_authors
from denseformer.backbones import Backbone
from denseformer.backbones.light.shvit import SHViT
from denseformer.layers import fuse_conv_norm
from tools.docs.light import HEADS, authors_rows, own_rows, peer_rows, with_table


def test_every_variant_is_compared_under_a_title_of_its_own():
    families = {cls.registered_name(): cls for cls in Backbone.families()}
    assert all(arch in families[name].archs for name, archs in VARIANTS.items() for arch in archs)
    titles = [comparison.title for comparison in comparisons()]
    assert len(set(titles)) == len(titles) == 2 * sum(map(len, VARIANTS.values()))


def test_a_network_without_norms_to_fuse_takes_no_part_as_a_fused_one():
    with pytest.raises(AbsentError, match='nothing to fuse'):
        fused(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)), fuse_conv_norm)
    assert isinstance(fused(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), fuse_conv_norm)[1], nn.Identity)


def test_a_peer_with_other_maps_is_refused():
    network = SHViT(arch='s1').eval()
    check_maps(network, SHViT, 's1', 64)
    with pytest.raises(AssertionError, match='SHViT-s3 has maps of'):
        check_maps(network, SHViT, 's3', 64)


def entry(name: str, *milliseconds: float) -> dict:
    seconds = [time / 1000 for time in milliseconds]
    return asdict(Measurement('', name, 1.0, 0.0, 0.0, 40.0, seconds, seconds))


def test_the_page_holds_times_of_ours_and_ratios_to_peers():
    group = [entry('ours', 30, 10, 20), entry('ours, ONNX Runtime', 5, 5, 5), entry("timm's", 30, 20, 40)]
    kept = {title('SHViT', 's1', 512): {'measurements': group}, title('CvT', '13', 224): {'measurements': group[:1]}}
    assert list(own_rows(kept)) == [
        '| SHViT-s1 |  |  |  | 20 |  | 5 | 40 beside 40 |',
        '| CvT-13 | 20 |  |  |  |  |  |  |',
    ]
    assert list(peer_rows(kept)) == ['| SHViT-s1 |  |  | 0.50 (0.50 .. 1.00) |  | 40 beside 40 |']


def test_the_page_holds_ratios_to_the_authors_code_at_the_sizes_that_it_takes():
    group = [entry('ours', 10, 20), entry("the authors'", 20, 20)]
    alone = {'measurements': group[:1]}
    kept = {title_beside_authors('VOLO', 224): {'measurements': group}, title_beside_authors('SVT', 224): alone}
    assert list(authors_rows(kept)) == ['| VOLO-d1 | 0.75 (0.50 .. 1.00) | 40 beside 40 |  |  |']


def test_authors_code_without_a_clone_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('benchmarks.light.PEERS', str(tmp_path))
    assert not [comparison for comparison in comparisons() if 'beside' in comparison.title]
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(AUTHORS)
    assert said[0].startswith('SHViT stands alone: ')
    assert said[0].endswith('has no SHViT/downstream/shvit.py of https://github.com/ysj9909/SHViT')


def test_a_table_takes_the_place_of_the_older_one():
    page = ['text', HEADS[0], '|---|', '| old |', '| older |', '', 'more']
    assert with_table(page, HEADS[0], iter(['| new |'])) == ['text', HEADS[0], '|---|', '| new |', '', 'more']
