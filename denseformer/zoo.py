"""The zoo page: every backbone with its size, cost, licence and published results, made from the code and the configs.

`python -m denseformer.zoo docs/zoo.md` writes it. Parameters come from `describe`, published results from the configs
that record them, measured times from benchmarks/results/backbones.json where that stands.
"""

import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from denseformer import backbones
from denseformer.backbones import Backbone
from denseformer.engine.config import load_config
from denseformer.flops import multiply_adds
from denseformer.registry import MODELS

ROOT = Path(__file__).parents[1]
HEAD = """# Zoo

Made by `python -m denseformer.zoo docs/zoo.md`; do not edit. Parameters are those of the backbone with four output
maps. GFLOPs count one multiply-add as one, as papers do, in what our code executes on one square image of 224 or 512
pixels: where a network pads small maps that is more than the formula of its paper. Times are measured for the smallest
variant of each family (`python -m benchmarks backbones --threads 2`: 512 x 512, batch 1, float32, on a processor). mIoU
is ADE20K with UPerNet, single- and multi-scale, as the authors published it, and the config beside it trains it.
"""
COLUMNS = ('variant', 'channels', 'parameters, M', 'GFLOPs 224', 'GFLOPs 512', 'ms', 'mIoU ss / ms', 'config')


@dataclass(frozen=True)
class Published:
    """A result its authors published, and the config that records it."""

    config: str
    metric: str
    value: float
    multi_scale: float | None

    def __str__(self) -> str:
        if self.metric == 'mIoU (multi-scale)':
            return f'- / {self.value}'
        return f'{self.value} / {self.multi_scale or "-"}'


def families() -> list[type[Backbone]]:
    found = (vars(backbones)[name] for name in backbones.__all__)
    return sorted((cls for cls in found if cls is not Backbone and hasattr(cls, 'archs')), key=lambda cls: cls.__name__)


def published_results() -> dict[tuple[str, str], Published]:
    """(type, arch) -> the UPerNet result on ADE20K."""
    results = {}
    for path in sorted((ROOT / 'configs').glob('upernet_*_ade20k.py')):
        config = load_config(path)
        published, backbone = config.get('published'), config.backbone
        if published and isinstance(backbone.get('arch'), str):
            key = (backbone.type.removeprefix('denseformer.'), backbone.arch)
            results[key] = Published(path.stem, published.metric, published.value, published.get('multi_scale'))
    return results


def gflops(cls: type[Backbone], arch: str, side: int) -> float:
    """Multiply-adds of one forward pass on a square image, in billions: counted from shapes alone where that works."""

    def count(device: str) -> float:
        with torch.device(device), torch.inference_mode():
            network = MODELS.build({'type': f'denseformer.{registered_name(cls)}', 'arch': arch}).eval()
            return multiply_adds(lambda: network(torch.zeros(1, 3, side, side)))

    try:
        return count('meta')
    except (RuntimeError, NotImplementedError):  # an operator of this network needs values
        return count('cpu')


def measured_times() -> dict[str, float]:
    """'Swin-tiny' -> milliseconds, from the last benchmark."""
    path = ROOT / 'benchmarks/results/backbones.json'
    comparisons = json.loads(path.read_text())['comparisons'] if path.is_file() else {}
    entries = (entry for group in comparisons.values() for entry in group)
    return {entry['name']: 1000 * statistics.median(entry['seconds']) for entry in entries}


def rows(cls: type[Backbone]) -> Iterator[list[str]]:
    published, times = published_results(), measured_times()
    for arch in cls.archs:
        name = registered_name(cls)
        about = cls.describe(arch)
        result = published.get((name, arch))
        milliseconds = times.get(f'{name}-{arch}')
        yield [
            arch,
            ', '.join(map(str, about.channels)),
            f'{about.parameters / 1e6:.2f}',
            f'{gflops(cls, arch, 224):.1f}',
            f'{gflops(cls, arch, 512):.1f}',
            f'{milliseconds:.0f}' if milliseconds else '',
            str(result) if result else '',
            f'[{result.config}](../configs/{result.config}.py)' if result else '',
        ]


def registered_name(cls: type[Backbone]) -> str:
    return 'DiNAT_s' if cls.__name__ == 'DiNATs' else cls.__name__


def page() -> Iterator[str]:
    yield HEAD
    for cls in families():
        source = cls.source
        yield f'\n## {registered_name(cls)}\n'
        yield f'{source.paper}. [Code of the authors]({source.code}), {source.licence}.\n'
        yield '| ' + ' | '.join(COLUMNS) + ' |'
        yield '|' + '---|' * len(COLUMNS)
        for row in rows(cls):
            yield '| ' + ' | '.join(row) + ' |'


if __name__ == '__main__':
    Path(sys.argv[1]).write_text('\n'.join(page()) + '\n')
