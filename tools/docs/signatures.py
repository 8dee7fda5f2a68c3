"""The tables by which checkpoints are recognized: key names of every network and layout, and what each config builds.

`python -m tools.docs.signatures denseformer/checkpoints/signatures.json` writes it, with our names from the networks on
the meta device, the authors' from `tests/references`, those of other packages from `tests/references/layouts`; and
beside it `shapes.json`, with the names and shapes of networks that are not built to recognize a file.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from inspect import signature as parameters_of
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

import denseformer.backbones  # noqa: F401 (registers)
from denseformer.checkpoints.signatures import DESIGN_FREE, without_numbers
from denseformer.checkpoints.stored_shapes import folded
from denseformer.config.loading import load_config
from denseformer.config.shipped import base_names, config_folder, config_names
from denseformer.network import Network, SkipInit, without_weights
from denseformer.registry import MODELS
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
    'systems/facexformer': 'FaceXFormer',
}
RESNETS = [{'depth': depth} for depth in (50, 18, 34, 101, 152)]
RESNEXTS = [
    {'depth': depth, 'groups': groups, 'base_width': width}
    for depth, groups, width in ((101, 64, 4), (50, 32, 4), (101, 32, 4), (101, 32, 8))
]
CSP = [
    {'deepen_factor': deepen, 'widen_factor': widen}
    for deepen, widen in ((1, 1), (0.33, 0.5), (0.67, 0.75), (1.33, 1.25))
]
OPENMMLAB = {
    'mmdet.ResNet': RESNETS,
    'mmseg.ResNet': RESNETS,
    'mmseg.ResNetV1c': RESNETS,
    'mmdet.ResNeXt': RESNEXTS,
    'mmdet.CSPNeXt': [*CSP, {'deepen_factor': 0.167, 'widen_factor': 0.375}],
    'mmdet.CSPDarknet': [*CSP, {'deepen_factor': 0.33, 'widen_factor': 0.375}],
    'denseformer.HRNet': [{'width': width} for width in (48, 18, 32)],  # by its width; without plugins it is theirs
}
"""Networks that people's files of OpenMMLab hold, in the variants of its model zoos."""
OF_RESNETS = {
    'strides': [[1, 2, 2, 2], [1, 2, 1, 1]],
    'dilations': [[1, 1, 1, 1], [1, 1, 2, 4]],
    'style': ['pytorch', 'caffe'],
}
"""Options of OpenMMLab's ResNets that no tensor tells, with the values of its model zoos."""


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


def is_stored(name: str, network: nn.Module) -> bool:
    """Whether a file is recognized by stored shapes.

    It is where people's files are OpenMMLab's, or no part of the network has rules that rename an authors' file.
    """
    return name in OPENMMLAB or not any(hasattr(module, 'own_names') for module in network.modules())


def is_openmmlab(name: str) -> bool:
    return not name.startswith('denseformer.')


def shapes_of(settings: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    with SkipInit():
        return {key: tuple(value.shape) for key, value in MODELS.build({**settings}).state_dict().items()}


def defaults(cls: type) -> dict[str, Any]:
    """Arguments of a component and its bases, with their defaults."""
    found = {}
    for base in reversed(cls.__mro__):
        parameters = parameters_of(vars(base)['__init__']).parameters if '__init__' in vars(base) else {}
        kept = (p for p in parameters.values() if p.name != 'self' and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
        found |= {p.name: None if p.default is p.empty else plain(p.default) for p in kept}
    return {name: value for name, value in found.items() if name not in DESIGN_FREE}


def stored_table(shipped: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The content of `shapes.json`. shipped: the settings of configs whose networks are stored."""
    tensors: dict[str, Any] = {}
    found: dict[str, Any] = {}
    usual = [{'type': name, **settings} for name, variants in OPENMMLAB.items() for settings in variants]
    for settings in sorted([*usual, *shipped], key=lambda settings: not is_openmmlab(settings['type'])):
        network, shapes = settings['type'], folded(shapes_of(settings))
        name = next((name for name, known in tensors.items() if known == shapes), f'{network} {len(tensors)}')
        tensors[name] = shapes
        entry = found.setdefault(
            network,
            {
                'layout': 'OpenMMLab' if is_openmmlab(name) or network in OPENMMLAB else 'denseformer',
                'options': defaults(MODELS.get(network)),
                'open': OF_RESNETS if is_openmmlab(network) and '.ResNe' in network else {},
                'variants': [],
            },
        )
        variant = [{key: value for key, value in settings.items() if key != 'type'}, name]
        if variant not in entry['variants']:
            entry['variants'].append(variant)
    return {'tensors': tensors, 'networks': found}


def write(table: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(table, separators=(',', ':')).replace('"},"', '"},\n"').replace(']},"', ']},\n"') + '\n')


def main(out: str) -> None:
    configs = {name: row(name) for name in config_names()}
    layouts: dict[str, dict[str, set[tuple[str, ...]]]] = defaultdict(lambda: defaultdict(set))
    stored: list[Mapping[str, Any]] = []
    for cls in Network.families():
        name = f'denseformer.{cls.registered_name()}'
        for arch in getattr(cls, 'archs', ()):
            layouts[name]['denseformer'].add(signature(cls.on_meta_device(arch=arch).state_dict()))
    for settings in {repr(config['network']): config['network'] for config in configs.values()}.values():
        network = without_weights(settings)
        if is_stored(settings['type'], network):
            stored.append(settings)
        else:
            layouts[settings['type']]['denseformer'].add(signature(network.state_dict()))
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
    write(table, Path(out))
    write(stored_table(stored), Path(out).with_name('shapes.json'))


if __name__ == '__main__':
    main(*sys.argv[1:])
