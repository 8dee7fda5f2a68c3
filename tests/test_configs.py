"""Every config that ships: it loads, has no findings, stays short, and its model can be built."""

import re
from contextlib import nullcontext
from pathlib import Path

import pytest
from mmengine.registry import MODELS, init_default_scope

from denseformer.checkpoints.catalog import starting_weights
from denseformer.checkpoints.recorded import for_prediction
from denseformer.config.audit import audit
from denseformer.config.loading import load_config
from denseformer.engine.launch import scale_learning_rate
from denseformer.network import on_meta
from denseformer.options import TrainOptions

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / 'configs').glob('*.py'))
BASE = ROOT / 'configs/_base_'
BASES = sorted(BASE.rglob('*.py'))


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


@pytest.mark.no_cover
def test_has_no_findings_builds_and_names_its_source_and_the_batch_of_its_rate(path):
    config = load_config(path)
    assert [str(finding) for finding in audit(config, data=False)] == []
    for_prediction(config, path)  # raises for what a checkpoint's config may not name
    published = config.get('published')
    assert published is None or {'metric', 'value', 'source'} <= set(published)
    if start := (config.get('backbone') or {}).get('pretrained'):
        backbone = config.backbone
        assert starting_weights(backbone.type.removeprefix('denseformer.'), backbone.arch, start).is_whole
    if config.get('train_cfg'):
        scale_learning_rate(config, TrainOptions(auto_scale_lr=True))
        assert config.auto_scale_lr.base_batch_size % config.train_dataloader.batch_size == 0
    init_default_scope(config.default_scope)
    # mmsegmentation's own networks read numbers from tensors while they are built.
    backbone = config.get('backbone') or config.network
    with nullcontext() if backbone.type.startswith('mmseg.') else on_meta():
        model = MODELS.build(config.model)
    assert sum(p.numel() for p in model.parameters()) > 0


@pytest.mark.no_cover
def test_says_only_what_makes_it_different(path):
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith('#')]
    assert len(lines) <= 12


@pytest.mark.parametrize(
    'path', [path for path in CONFIGS if re.match(r'upernet_(vit|deit|beit|mae)_(?!adap)', path.stem)]
)
def test_tables_of_positions_are_trained_at_the_size_of_the_crops_where_they_were(path):
    """As with mmsegmentation and BEiT's authors, whose finished weights lose nothing on loading then."""
    config = load_config(path)
    assert config.model.backbone.image_size == config.crop_size[0] == config.crop_size[1]


@pytest.mark.parametrize(  # backbones are for any head; losses are for configs of one's own
    'base', [base for base in BASES if base.parent.name not in ('backbones', 'losses')], ids=lambda path: path.stem
)
def test_every_base_is_used(base):
    reference = f'/{base.parent.name}/{base.name}'
    chosen = f"{base.relative_to(BASE).with_suffix('').as_posix()}'"  # by `fit`
    siblings, parts = f"'./{base.name}'", f"'../{base.name}'"
    fitting = (ROOT / 'denseformer/fitting').glob('*.py')
    files = [*CONFIGS, *BASES, *fitting, ROOT / 'denseformer/folders/writing.py']
    assert any(way in file.read_text() for file in files for way in (reference, siblings, parts, chosen))
