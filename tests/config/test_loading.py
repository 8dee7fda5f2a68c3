"""References between keys, and what the loader says of a broken config."""

import pytest
from mmengine.config import Config

from denseformer.config.loading import ConfigError, load_config


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = 'config.py') -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def test_a_reference_is_replaced_by_what_another_base_sets(write):
    write("head = dict(num_classes='${num_classes}', width='${widths[2]}', lr='${optimizer.lr}')", 'head.py')
    write('num_classes = 7\nwidths = (1, 2, 3)\noptimizer = dict(lr=0.1)', 'data.py')
    config = load_config(write("_base_ = ['./head.py', './data.py']"))
    assert config.head == dict(num_classes=7, width=3, lr=0.1)


def test_an_override_reaches_every_reference(write):
    path = write("num_classes = 7\na = dict(n='${num_classes}')\nb = [dict(n='${num_classes}')]")
    config = load_config(path, {'num_classes': 3})
    assert (config.a.n, config.b[0].n) == (3, 3)


def test_references_may_lead_through_references(write):
    config = load_config(write("a = '${b}'\nb = dict(c='${d}')\nd = 5"))
    assert config.a == dict(c=5)


def test_two_users_of_a_reference_do_not_share_it(write):
    config = load_config(write("a = '${c}'\nb = '${c}'\nc = dict(n=1)"))
    config.a.n = 2
    assert config.b.n == 1


def test_a_circle_of_references_is_an_error(write):
    with pytest.raises(ConfigError, match='leads back to itself'):
        load_config(write("a = '${b}'\nb = '${c}'\nc = '${b}'"))


def test_a_reference_to_nothing_names_the_nearest_key(write):
    with pytest.raises(ConfigError, match=r"'head' refers to .*Did you mean 'num_classes'"):
        load_config(write("num_classes = 3\nhead = dict(n='${num_clases}')"))


def test_names_with_an_underscore_stay_in_their_file(write):
    assert '_size' not in load_config(write('_size = 3\ncrop = (_size, _size)'))


def test_channels_follow_from_the_backbone(write):
    path = write("backbone = dict(type='denseformer.DiNAT', arch='tiny')\nhead = dict(c='${channels}')")
    assert load_config(path).head.c == (64, 128, 256, 512)
    assert load_config(path, {'backbone.arch': 'large'}).head.c == (192, 384, 768, 1536)


def test_strides_levels_and_a_pyramids_channels_follow_from_the_backbone_too(write):
    path = write(
        "backbone = dict(type='denseformer.SHViT', arch='s1')\npyramid = 64\n"
        "head = dict(strides='${strides}', levels='${levels}', channels='${pyramid_channels}')"
    )
    head = load_config(path).head
    assert (head.strides, head.levels, head.channels) == ((16, 32, 64), (0, 1, 2), [64, 64, 64])
    assert load_config(path, {'backbone.out_indices': [1, 2], 'pyramid': 8}).head.channels == [8, 8]


def test_a_misspelt_backbone_is_named_with_the_nearest(write):
    with pytest.raises(ConfigError, match=r"backbone\.type: .*Did you mean 'denseformer.DiNAT'"):
        load_config(write("backbone = dict(type='denseformer.DiNATT', arch='tiny')\nhead = dict(c='${channels}')"))


def test_channels_a_base_sets_are_kept(write):
    path = write(
        "backbone = dict(type='mmseg.ResNet', depth=50)\nchannels = (256, 512)\nhead = dict(c='${channels[1]}')"
    )
    assert load_config(path).head.c == 512


@pytest.mark.parametrize('text', ['a = (', 'a = b', "_base_ = './nowhere.py'"])
def test_a_broken_file_is_named(write, text):
    with pytest.raises(ConfigError, match=r'config\.py'):
        load_config(write(text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r'nowhere\.py: no such config file'):
        load_config(tmp_path / 'nowhere.py')


def test_the_resolved_config_is_a_plain_mmengine_config(write, tmp_path):
    config = load_config(write("n = 3\nhead = dict(n='${n}')"))
    config.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').head.n == 3


def test_a_config_that_yapf_lays_out_reads_as_it_was(configs_laid_out, tmp_path):
    config = load_config('upernet_dinat_pico_sample')
    config.dump(tmp_path / 'dumped.py')
    assert max(map(len, (tmp_path / 'dumped.py').read_text().splitlines())) <= 80  # yapf's width
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == config.to_dict()


def test_a_config_that_cannot_be_printed_is_an_error_in_tests_too():
    with pytest.raises(SyntaxError, match='Failed to format'):
        assert Config({'model': {'type': object()}}).pretty_text
