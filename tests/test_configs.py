"""Every config that ships: it loads, has no findings, stays short, and its model can be built."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from denseformer.engine.audit import audit
from denseformer.engine.config import load_config

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / 'configs').glob('*.py'))
BASE = ROOT / 'configs/_base_'
BASES = sorted(BASE.rglob('*.py'))


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


def test_has_no_findings_builds_and_says_where_its_result_was_published(path):
    config = load_config(path)
    assert [str(finding) for finding in audit(config, data=False)] == []
    published = config.get('published')
    assert published is None or {'metric', 'value', 'source'} <= set(published)
    init_default_scope(config.default_scope)
    # mmsegmentation's own networks read numbers from tensors while they are built.
    backbone = config.get('backbone') or config.network
    with torch.device('cpu' if backbone.type.startswith('mmseg.') else 'meta'):
        model = MODELS.build(config.model)
    assert sum(p.numel() for p in model.parameters()) > 0


def test_says_only_what_makes_it_different(path):
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith('#')]
    assert len(lines) <= 12


@pytest.mark.parametrize(
    'base', [base for base in BASES if base.parent.name != 'backbones'], ids=lambda path: path.stem
)
def test_every_base_is_used(base):
    reference = f'/{base.parent.name}/{base.name}'
    siblings = f"'./{base.name}'"
    files = [*CONFIGS, *BASES]
    assert any(reference in text or siblings in text for text in (file.read_text() for file in files))
