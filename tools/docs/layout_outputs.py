"""Maps of our networks with the weights of other packages beside the maps that those packages compute.

`python -m tools.docs.layout_outputs [PACKAGE ...]` prints a table in Markdown: of each family, the largest
difference over all maps, relative to the map's largest value. Parameters are random, gains, biases and statistics
too, so that nothing is hidden by a zero. It needs those packages.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from denseformer import backbones
from denseformer.backbones.global_attention.cvt import QuickGELU
from tools.docs.layouts import TIMM, TORCHVISION

Maps = Callable[[Tensor], list[Tensor]]
SIDE = 224
TIMM_PLAIN = {
    'ViT': ('small', 'vit_small_patch16_224', {}),
    'DINOv2': ('small', 'vit_small_patch14_dinov2', {}),
    'DINOv3': ('small', 'vit_small_patch16_dinov3_qkvb', {}),
    'Hiera': ('tiny', 'hiera_tiny_224', {}),
}
"""Family -> (arch here, name there, its options)."""
SIDES = {'Swin': 448, 'SwinV2': 256, 'HaloNet': 256, 'DINOv2': 518}
"""Sides of images where packages and tables have no others; Swin's, for several windows in its last stage."""
OURS = {'GCViT': {'window_size': [7, 7, 14, 7]}}
"""The options of classifiers where those of dense networks differ."""
TRANSFORMERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    'Swin': ('tiny', 'Swin', {'out_indices': [1, 2, 3, 4]}),
    'SwinV2': ('tiny', 'Swinv2', {'out_indices': [1, 2, 3, 4], 'image_size': 256, 'window_size': 8}),
    'ConvNeXt': ('tiny', 'ConvNext', {'out_indices': [1, 2, 3, 4], 'hidden_sizes': [96, 192, 384, 768]}),
    'CvT': ('13', 'Cvt', {}),
    'PoolFormer': ('s12', 'PoolFormer', {}),
    'FocalNet': (
        'tiny_srf',
        'FocalNet',
        {'out_indices': [4], 'hidden_sizes': [192, 384, 768, 768]},
    ),  # others come smaller
    'DINOv2': (
        'small',
        'Dinov2',
        {'hidden_size': 384, 'num_attention_heads': 6, 'out_indices': [12], 'image_size': 518},
    ),
    'TIPS': ('small', 'Tipsv2Vision', {'hidden_size': 384, 'num_attention_heads': 6, 'out_indices': [12]}),
    'DINOv3': ('small', 'DINOv3ViT', {'num_register_tokens': 4, 'out_indices': [12]}),
}
"""Family -> (arch here, prefix of the classes there, their options). FocalNet gives other maps after downsampling."""


def timm() -> Iterator[tuple[str, str, nn.Module, Maps]]:
    package = import_module('timm')
    names = {family: (arch, name, {}) for family, (arch, name) in TIMM.items()} | TIMM_PLAIN
    names['Swin'] = (*names['Swin'][:2], {'img_size': SIDES['Swin']})
    for family, (arch, name, options) in names.items():
        network = package.create_model(name, **options)
        if family == 'GCViT':
            network.stages[-1].norm = nn.Identity()  # of the classifier
        yield family, arch, network, partial(intermediates, network, norm=family in ('DINOv2', 'DINOv3', 'TNT'))


def torchvision() -> Iterator[tuple[str, str, nn.Module, Maps]]:
    package = import_module('torchvision.models')
    for family, (arch, name) in TORCHVISION.items():
        network = getattr(package, name)()
        yield family, arch, network, partial(stages, network)


def transformers() -> Iterator[tuple[str, str, nn.Module, Maps]]:
    package = import_module('transformers')
    for family, (arch, name, options) in TRANSFORMERS.items():
        kind = 'Backbone' if hasattr(package, f'{name}Backbone') else 'Model'
        network = getattr(package, f'{name}{kind}')(getattr(package, f'{name}Config')(**options))
        if family == 'CvT':  # the weights were trained with the authors' activation
            for layer in network.encoder.modules():
                if type(layer).__name__ == 'CvtIntermediate':
                    layer.activation = QuickGELU()
        yield family, arch, network, partial(feature_maps, network)


def intermediates(network: nn.Module, image: Tensor, norm: bool) -> list[Tensor]:
    return network.forward_intermediates(image, intermediates_only=True, norm=norm)


def stages(network: nn.Module, image: Tensor) -> list[Tensor]:
    """The maps behind the blocks, which torchvision's Swin computes as (B, H, W, C)."""
    maps = []
    for number, part in enumerate(network.features):
        image = part(image)
        if number % 2:
            maps.append(image.permute(0, 3, 1, 2))
    return maps


def feature_maps(network: nn.Module, image: Tensor) -> list[Tensor]:
    maps = network(image, output_hidden_states=True)
    return list(maps.feature_maps if 'feature_maps' in maps else maps.hidden_states)


PACKAGES = {'timm': timm, 'torchvision': torchvision, 'transformers': transformers}


def largest_difference(family: str, arch: str, theirs: nn.Module, maps: Maps) -> float:
    """The largest difference of the maps that both have, the deepest of each size.

    Ours pass through the norms of dense networks where `theirs` has them.
    """
    randomize(theirs.eval())
    ours = getattr(backbones, family)(arch=arch, **OURS.get(family, {})).eval()
    missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
    norms = [key for key in missing if key.startswith('out_norms.')]
    if unexpected or len(norms) != len(missing):
        raise ValueError(f'{family}: without a place {unexpected}, without a value {missing}')
    if hasattr(ours, 'out_norms') and not any('norms.' in key for key in theirs.state_dict()):
        ours.out_norms = nn.ModuleList(nn.Identity() for _ in ours.out_norms)
    side = SIDES.get(family, SIDE)
    image = torch.randn(1, 3, side, side)
    with torch.inference_mode():
        expected = {tuple(map_.shape): map_ for map_ in maps(image)}
        found = {tuple(map_.shape): map_ for map_ in ours(image)}
    shared = expected.keys() & found.keys()
    if not shared:
        raise ValueError(f'{family}: no map has the size of one of ours')
    return max(float((found[size] - expected[size]).abs().max() / expected[size].abs().max()) for size in shared)


def randomize(network: nn.Module) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1 or parameter.abs().max() < 0.01:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_(std=0.1)
                layer.running_var.uniform_(0.5, 2)


def main(*packages: str) -> None:
    torch.manual_seed(0)
    print('| weights of | network | largest difference |\n|---|---|---|')
    for package in packages or PACKAGES:
        for family, arch, network, maps in PACKAGES[package]():
            print(
                f'| {package} | {family}-{arch} | {largest_difference(family, arch, network, maps):.0e} |', flush=True
            )


if __name__ == '__main__':
    main(*sys.argv[1:])
