"""Every config that ships: it loads, has no findings, stays short, and its model can be built."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope

from denseformer.engine.audit import audit
from denseformer.engine.config import load_config

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / 'configs').glob('*.py'))
BASES = sorted((ROOT / 'configs/_base_').rglob('*.py'))


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


def test_has_no_findings_and_builds(path):
    from mmseg.registry import MODELS

    config = load_config(path)
    assert [str(finding) for finding in audit(config, data=False)] == []
    init_default_scope(config.default_scope)
    # mmsegmentation's own networks read numbers from tensors while they are built.
    with torch.device('cpu' if config.backbone.type.startswith('mmseg.') else 'meta'):
        model = MODELS.build(config.model)
    assert sum(p.numel() for p in model.parameters()) > 0


def test_says_only_what_makes_it_different(path):
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith('#')]
    assert len(lines) <= 12


def test_a_published_result_says_where_it_was_published(path):
    published = load_config(path).get('published')
    if published is not None:
        assert {'metric', 'value', 'source'} <= set(published)


@pytest.mark.parametrize('base', BASES, ids=lambda path: path.stem)
def test_every_base_is_used(base):
    reference = f'/{base.parent.name}/{base.name}'
    siblings = f"'./{base.name}'"
    files = [*CONFIGS, *base.parent.glob('*.py')]
    assert any(reference in text or siblings in text for text in (file.read_text() for file in files))
