"""The zoo page: every backbone with its size, cost, licence and published results, made from the code and the configs.

`python -m tools.docs.zoo docs/zoo.md` writes it. Parameters come from `describe`, published results from the configs
that record them, measured times from benchmarks/results/backbones.json and light.json where these stand.
"""

import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from benchmarks.flops import multiply_adds
from denseformer.backbones.base import MapNetwork
from denseformer.config.shipped import published_scores
from denseformer.network import Source
from denseformer.registry import MODELS

ROOT = Path(__file__).parents[2]
HEAD = """# Zoo

Made by `python -m tools.docs.zoo docs/zoo.md`; do not edit. Parameters are those of the backbone with four output
maps. GFLOPs count one multiply-add as one, as papers do, in what our code executes on one square image of 224 or 512
pixels: where a network pads small maps that is more than the formula of its paper. Times are measured for the smallest
variant of each family, and a middle one of light families, as CPU time of one thread: 512 x 512, batch 1, float32, on a
machine that did other work too (`python -m benchmarks backbones --only '*, inference*' --threads 1 --rounds 3`,
`python -m benchmarks light --threads 1 --rounds 3`). Results are those that the authors published, and the config
beside one trains it: mIoU of a single scale, and of more where given; AP and PQ on the validation set.

![Published mIoU and AP of the backbones against their measured time](images/ranking_ms.svg)

A dot is a model, a line joins those of a family, and the stairs join those that no quicker one beats. A name is the
rest of the recipe's: one command trains it, as `denseformer train semantic_fpn_lsnet_ade20k`, and
`denseformer fit DATA --model lsnet` its family [on data of your own](own_data.md). The same against
[memory](images/ranking_mb.svg) and [parameters](images/ranking_parameters.svg). Time is that of the backbone, float32,
batch 1, eager, as measured by `python -m benchmarks.ranking` and drawn by `python -m tools.docs.ranking docs/images`;
how much quicker the light ones run when fused and exported is in [performance](performance.md#light-backbones).
"""
COLUMNS = ('variant', 'channels', 'parameters, M', 'GFLOPs 224', 'GFLOPs 512', 'ms')
RESULT_COLUMNS = ('system', 'data', 'variant', 'training', 'published', 'config')
SYSTEMS = {
    'upernet': 'UPerNet',
    'semantic_fpn': 'Semantic FPN',
    'segformer': 'SegFormer',
    'unetformer': 'UNetFormer',
    'mask2former': 'Mask2Former',
    'retinanet': 'RetinaNet',
    'atss': 'ATSS',
    'gfl': 'GFL',
    'sparse_rcnn': 'Sparse R-CNN',
    'mask_rcnn': 'Mask R-CNN',
    'cascade_mask_rcnn': 'Cascade Mask R-CNN',
    'htc': 'HTC++',
    'deformable_detr': 'Deformable DETR',
    'dino': 'DINO',
    'ddq': 'DDQ',
    'rtdetr': 'RT-DETR',
    'mamba_yolo': 'Mamba YOLO',
    'rtmdet': 'RTMDet',
    'rtmdet_ins': 'RTMDet-Ins',
    'eomt': 'EoMT',
    'linear': 'linear head',
}
LIGHT = ' at 512 x 512'
"""The end of titles of the light benchmark that begin with the network alone."""
DATA = {
    'ade20k': 'ADE20K',
    'chasedb1': 'CHASE_DB1',
    'cityscapes': 'Cityscapes',
    'coco': 'COCO',
    'context59': 'Pascal Context',
    'loveda': 'LoveDA',
    'potsdam': 'Potsdam',
    'stuff10k': 'COCO-Stuff-10K',
    'stuff164k': 'COCO-Stuff-164K',
    'uavid': 'UAVid',
    'voc2012': 'VOC 2012',
}


@cache
def published_results() -> dict[str, list[list[str]]]:
    """Type -> the rows of its results."""
    found = defaultdict(list)
    for prefix, system in SYSTEMS.items():
        for path in sorted((ROOT / 'configs').glob(f'{prefix}_*.py')):
            if prefix != max((known for known in SYSTEMS if path.stem.startswith(f'{known}_')), key=len):
                continue
            config = Config.fromfile(path)
            if published := config.get('published'):
                data = DATA[path.stem.rpartition('_')[2]]
                link = f'[{path.stem}](../configs/{path.name})'
                row = [
                    system,
                    data,
                    config.backbone.get('arch', ''),
                    training(config),
                    published_scores(published),
                    link,
                ]
                found[config.backbone.type.removeprefix('denseformer.')].append(row)
    return found


def training(config: Config) -> str:
    return f'{config.epochs} epochs' if 'epochs' in config else f'{config.max_iters // 1000}k iterations'


def gflops(cls: type[MapNetwork], arch: str, side: int) -> float:
    """Multiply-adds of one forward pass on a square image, in billions: counted from shapes alone where that works."""

    def count(device: str) -> float:
        with torch.device(device), torch.inference_mode():
            network = (
                MODELS.build({'type': f'denseformer.{cls.registered_name()}', 'arch': arch})
                .eval()
                .requires_grad_(False)
            )
            return multiply_adds(lambda: network(torch.zeros(1, 3, side, side)))

    try:
        return count('meta')
    except (RuntimeError, NotImplementedError):  # an operator of this network needs values
        return count('cpu')


@cache
def measured_times() -> dict[str, float]:
    """'Swin-tiny' -> milliseconds of CPU time, from the last benchmarks."""
    found = {title.removesuffix(LIGHT): ours for title, ours in measured('light') if title.endswith(LIGHT)}
    found |= {ours['name']: ours for title, ours in measured('backbones') if title.endswith(', inference')}
    return {name: 1000 * statistics.median(ours['cpu_seconds']) for name, ours in found.items()}


def measured(benchmark: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The title of each comparison in a benchmark's results, and the measurement of ours."""
    path = ROOT / f'benchmarks/results/{benchmark}.json'
    for title, comparison in (json.loads(path.read_text()) if path.is_file() else {}).items():
        yield title, comparison['measurements'][0]


def rows(cls: type[MapNetwork]) -> Iterator[list[str]]:
    times = measured_times()
    for arch in cls.archs:
        about = cls.describe(arch)
        milliseconds = times.get(f'{cls.registered_name()}-{arch}')
        yield [
            arch,
            ', '.join(map(str, about.channels)),
            f'{about.parameters / 1e6:.2f}',
            f'{gflops(cls, arch, 224):.1f}',
            f'{gflops(cls, arch, 512):.1f}',
            f'{milliseconds:.0f}' if milliseconds else '',
        ]


def license_of(source: Source) -> str:
    return 'without a license' if source.license == 'none stated' else source.license


def page() -> Iterator[str]:
    yield HEAD
    for cls in MapNetwork.families():
        source = cls.source
        yield f'\n## {cls.registered_name()}\n'
        yield f'{source.paper}. [Code of the authors]({source.code}), {license_of(source)}.\n'
        yield from table(COLUMNS, rows(cls))
        if results := published_results().get(cls.registered_name()):
            yield ''
            yield from table(RESULT_COLUMNS, results)
    families = {cls.registered_name() for cls in MapNetwork.families()}
    for name in sorted(published_results().keys() - families):
        yield f'\n## {name}\n'
        yield 'A backbone of mmdetection or mmsegmentation.\n'
        yield from table(RESULT_COLUMNS, published_results()[name])


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield '| ' + ' | '.join(columns) + ' |'
    yield '|' + '---|' * len(columns)
    for row in rows:
        yield '| ' + ' | '.join(row) + ' |'


if __name__ == '__main__':
    Path(sys.argv[1]).write_text('\n'.join(page()) + '\n')
