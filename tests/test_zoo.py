"""The zoo page is what its generator makes of today's code."""

from pathlib import Path

import pytest

from denseformer.zoo import families, gflops, published_results, registered_name

PAGE = (Path(__file__).parents[1] / 'docs/zoo.md').read_text()
SECTIONS = {part.split('\n', 1)[0]: part for part in PAGE.split('\n## ')[1:]}


@pytest.mark.parametrize('cls', families(), ids=registered_name)
def test_every_variant_has_a_row_with_its_size(cls):
    rows = {line.split(' | ')[0].removeprefix('| '): line for line in SECTIONS[registered_name(cls)].splitlines()}
    for arch in cls.archs:
        assert f'{cls.describe(arch).parameters / 1e6:.2f}' in rows[arch]


def test_every_published_result_stands_in_it():
    for (name, _), result in published_results().items():
        assert f'{result} | [{result.config}]' in SECTIONS[name]


@pytest.mark.parametrize(('name', 'published'), [('Swin', 4.5), ('NAT', 2.7), ('DaViT', 4.5), ('TransNeXt', 2.7)])
def test_arithmetic_is_counted_as_papers_count(name, published):
    cls = next(cls for cls in families() if registered_name(cls) == name)
    assert gflops(cls, next(iter(cls.archs)), 224) == pytest.approx(published, rel=0.03)
