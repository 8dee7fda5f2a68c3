"""The table by which checkpoints are recognized: key names of every network and layout, and what each config builds.

`python -m tools.docs.signatures denseformer/checkpoints/signatures.json` writes it: our names from the networks on the
meta device, the authors' from `tests/references`, those of other packages from `tests/references/layouts`.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmengine.config import Config

import denseformer.backbones  # noqa: F401 (registers)
from denseformer.checkpoints.signatures import DESIGN_FREE, without_numbers
from denseformer.config.loading import load_config
from denseformer.config.shipped import base_names, config_folder, config_names
from denseformer.network import Network, without_weights
from denseformer.restoration import networks  # noqa: F401 (registers)

REFERENCES = Path(__file__).parents[2] / 'tests' / 'references'
HEADS = {
    'heads/upernet': 'UPerNet',
    'heads/semantic_fpn': 'Semantic FPN',
    'heads/segformer': 'SegFormer',
    'heads/retinanet': 'RetinaNet',
    'heads/atss': 'ATSS',
    'heads/gfl': 'GFL',
    'heads/sparse_rcnn': 'Sparse R-CNN',
    'heads/deformable_detr': 'Deformable DETR',
    'heads/ddq': 'DDQ',
    'heads/dino': 'DINO',
    'heads/rtdetr': 'RT-DETR',
    'heads/rtmdet': 'RTMDet',
    'heads/rtmdet_ins': 'RTMDet-Ins',
    'heads/htc': 'HTC',
    'heads/cascade_mask_rcnn': 'Cascade Mask R-CNN',
    'heads/mask_rcnn': 'Mask R-CNN',
    'heads/mask2former': 'Mask2Former',
    'heads/mask2former_panoptic': 'Mask2Former',
    'heads/mask2former_semantic': 'Mask2Former',
}


def plain(value: Any) -> Any:
    """A config's value as JSON has it."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def signature(keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(without_numbers(keys)))


def numbers(node: Any, name: str) -> Iterable[int]:
    """Every value of the key `name` inside a config's part."""
    if isinstance(node, dict):
        if isinstance(node.get(name), int):
            yield node[name]
        for entry in node.values():
            yield from numbers(entry, name)
    elif isinstance(node, (list, tuple)):
        for entry in node:
            yield from numbers(entry, name)


def class_count(model: Config) -> int | None:
    """How many classes a model tells apart, None for one of restoration."""
    parts = [next(iter(numbers(model, key)), 0) for key in ('num_things_classes', 'num_stuff_classes')]
    return sum(parts) or next(iter(numbers(model, 'num_classes')), None)


def row(name: str) -> dict[str, Any]:
    """The parts that a shipped config builds: its network, head, classes and queries."""
    config = load_config(name)
    network = config.model.get('backbone') or config.model.network
    found = {
        'network': {key: plain(value) for key, value in network.items() if key not in DESIGN_FREE},
        'head': next((HEADS[base] for base in base_names(config_folder() / f'{name}.py') if base in HEADS), None),
        'classes': class_count(config.model),
        'queries': next(iter(numbers(config.model, 'num_queries')), None),
    }
    return {key: value for key, value in found.items() if value is not None}


def main(out: str) -> None:
    configs = {name: row(name) for name in config_names()}
    layouts: dict[str, dict[str, set[tuple[str, ...]]]] = defaultdict(lambda: defaultdict(set))
    for cls in Network.families():
        name = f'denseformer.{cls.registered_name()}'
        for arch in getattr(cls, 'archs', ()):
            layouts[name]['denseformer'].add(signature(cls.on_meta_device(arch=arch).state_dict()))
    for settings in {repr(config['network']): config['network'] for config in configs.values()}.values():
        network = without_weights(settings)
        layout = 'denseformer' if type(network).__module__.startswith('denseformer.') else 'OpenMMLab'
        layouts[settings['type']][layout].add(signature(network.state_dict()))
    index = json.loads((REFERENCES / 'index.json').read_text())
    for path, network in index.items():
        shapes = json.loads((REFERENCES / f'{path}.json').read_text())['shapes']
        layouts[f'denseformer.{network["type"]}']['authors'].add(signature(shapes))
    for path in sorted((REFERENCES / 'layouts').glob('*.json')):
        for entry in json.loads(path.read_text())['networks']:
            layouts[f'denseformer.{entry["network"]}'][entry['layout']].add(signature(entry['shapes']))
    table = {
        'networks': {
            network: {layout: sorted(sets) for layout, sets in sorted(found.items())}
            for network, found in sorted(layouts.items())
        },
        'configs': configs,
    }
    Path(out).write_text(json.dumps(table, separators=(',', ':')).replace('"},"', '"},\n"') + '\n')


if __name__ == '__main__':
    main(*sys.argv[1:])
