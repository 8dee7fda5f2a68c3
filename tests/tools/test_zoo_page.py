"""The zoo page is what its generator makes of today's code."""

import re
from pathlib import Path

import pytest

from denseformer.backbones.base import MapNetwork
from tools.docs.zoo import SYSTEMS, gflops

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs'
PAGE = (ROOT / 'docs/zoo.md').read_text()
SECTIONS = {part.split('\n', 1)[0]: part for part in PAGE.split('\n## ')[1:]}


@pytest.mark.no_cover
@pytest.mark.parametrize('cls', MapNetwork.families(), ids=lambda cls: cls.registered_name())
def test_every_variant_has_a_row_with_its_size(cls):
    rows = {line.split(' | ')[0].removeprefix('| '): line for line in SECTIONS[cls.registered_name()].splitlines()}
    for arch in cls.archs:
        assert f'{cls.describe(arch).parameters / 1e6:.2f}' in rows[arch]


@pytest.mark.parametrize('system', SYSTEMS)
def test_every_published_result_stands_beside_its_config(system):
    for path in CONFIGS.glob(f'{system}_*.py'):
        if published := re.search(r"^published = dict\(metric='[^']+', value=([\d.]+)", path.read_text(), re.MULTILINE):
            line = next(line for line in PAGE.splitlines() if f'[{path.stem}]' in line)
            assert published[1] in line.split(' | ')[4]


@pytest.mark.parametrize(('name', 'published'), [('Swin', 4.5), ('NAT', 2.7), ('DaViT', 4.5), ('TransNeXt', 2.7)])
def test_arithmetic_is_counted_as_papers_count(name, published):
    cls = next(cls for cls in MapNetwork.families() if cls.registered_name() == name)
    assert gflops(cls, next(iter(cls.archs)), 224) == pytest.approx(published, rel=0.03)
