"""Names and shapes of other packages' networks, which tests hold our layouts against without those packages.

`python -m tools.docs.layouts tests/references/layouts [PACKAGE ...]` writes a file for each package that is named, all
of them by default; with tests/references/mask2former, the names of a whole Mask2Former. It needs timm, torchvision,
transformers (for `transformers_4` an older one) and mmpretrain, each with its own requirements; mmsegmentation is one
of ours.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import safe_open

TIMM = {
    'Swin': ('tiny', 'swin_tiny_patch4_window7_224'),
    'SwinV2': ('tiny', 'swinv2_tiny_window8_256'),
    'ConvNeXt': ('tiny', 'convnext_tiny'),
    'FocalNet': ('tiny_srf', 'focalnet_tiny_srf'),
    'DaViT': ('tiny', 'davit_tiny'),
    'GCViT': ('xxtiny', 'gcvit_xxtiny'),
    'PoolFormer': ('s12', 'poolformer_s12'),
    'MaxViT': ('tiny', 'maxvit_tiny_tf_224'),
    'HaloNet': ('26t', 'halonet26t'),
    'TNT': ('small', 'tnt_s_patch16_224'),
}
"""Family -> (arch here, name there)."""
TORCHVISION = {'Swin': ('tiny', 'swin_t'), 'SwinV2': ('tiny', 'swin_v2_t')}
"""The same."""
NARROW = {'hidden_size': 48, 'num_hidden_layers': 2, 'num_attention_heads': 2}
NARROW_HERE = {'width': 48, 'blocks': 2, 'heads': 2}
TRANSFORMERS: list[tuple[str, Any, str, dict[str, Any]]] = [
    ('Swin', 'tiny', 'Swin', {}),
    ('SwinV2', 'tiny', 'Swinv2', {}),
    ('ConvNeXt', 'tiny', 'ConvNext', {}),
    ('ConvNeXt', 'tiny', 'DINOv3ConvNext', {}),
    ('FocalNet', 'tiny_srf', 'FocalNet', {}),
    ('DiNAT', 'mini', 'Dinat', {}),
    ('CvT', '13', 'Cvt', {}),
    ('PoolFormer', 's12', 'PoolFormer', {}),
    ('MiT', 'b0', 'Segformer', {}),
    ('ViT', NARROW_HERE, 'ViT', NARROW | {'intermediate_size': 192}),
    ('DINOv2', 'small', 'Dinov2', {'hidden_size': 384, 'num_attention_heads': 6, 'image_size': 518}),
    ('DINOv3', 'small', 'DINOv3ViT', {'num_register_tokens': 4}),
    ('DINOv2', NARROW_HERE, 'Dinov2', NARROW | {'image_size': 518}),
    ('DINOv2', NARROW_HERE | {'hidden': 128, 'swiglu': True}, 'Dinov2', NARROW | {'use_swiglu_ffn': True}),
    ('DINOv3', NARROW_HERE, 'DINOv3ViT', NARROW | {'intermediate_size': 192, 'num_register_tokens': 4}),
    (
        'DINOv3',
        NARROW_HERE | {'hidden': 192, 'swiglu': True},
        'DINOv3ViT',
        NARROW | {'intermediate_size': 192, 'num_register_tokens': 4, 'use_gated_mlp': True},
    ),
    ('TIPS', NARROW_HERE, 'Tipsv2', {'vision_config': NARROW, 'text_config': NARROW | {'vocab_size': 8}}),
    ('Hiera', 'tiny', 'Hiera', {'depths': [1, 2, 7, 2]}),
    (
        'SAM',
        NARROW_HERE | {'window': 14, 'global_blocks': (1,)},
        'SamVision',
        NARROW | {'mlp_dim': 192, 'global_attn_indexes': [1]},
    ),
    ('SAM2', 'tiny', 'Sam2Vision', {}),
]
"""(family, arch here, prefix of the classes there, their options)."""
TRANSFORMERS_4: list[tuple[str, str, str, dict[str, Any]]] = [
    ('NAT', 'mini', 'Nat', {}),
    ('VAN', 'b0', 'Van', {'hidden_sizes': [32, 64, 160, 256], 'depths': [3, 3, 5, 2]}),
]
"""The same."""
MMPRETRAIN = {
    'SwinV2': ('tiny', 'swin_transformer_v2.SwinTransformerV2', {'arch': 'tiny', 'window_size': 8}),
    'ConvNeXt': ('tiny', 'convnext.ConvNeXt', {'arch': 'tiny'}),
    'DaViT': ('tiny', 'davit.DaViT', {'arch': 'tiny'}),
    'HorNet': ('tiny', 'hornet.HorNet', {'arch': 'tiny'}),
    'PoolFormer': ('s12', 'poolformer.PoolFormer', {'arch': 's12'}),
    'VAN': ('b0', 'van.VAN', {'arch': 'tiny'}),
    'ViT': ('base', 'vision_transformer.VisionTransformer', {'arch': 'base'}),
    'SAM': ('base', 'vit_sam.ViTSAM', {'arch': 'base'}),
}
"""Family -> (arch here, module and class there, its options)."""


def shapes_of(state_dict: dict[str, torch.Tensor]) -> dict[str, list[int]]:
    return {key: list(value.shape) for key, value in state_dict.items()}


def timm() -> Iterator[dict[str, Any]]:
    package = import_module('timm')
    for family, (arch, name) in TIMM.items():
        with torch.device('meta'):
            network = package.create_model(name)
        yield {'network': family, 'arch': arch, 'shapes': shapes_of(network.state_dict())}


def torchvision() -> Iterator[dict[str, Any]]:
    package = import_module('torchvision.models')
    for family, (arch, name) in TORCHVISION.items():
        with torch.device('meta'):
            network = getattr(package, name)()
        yield {'network': family, 'arch': arch, 'shapes': shapes_of(network.state_dict())}


def transformers() -> Iterator[dict[str, Any]]:
    """The names of files, which can be others than those in memory: each model is saved once."""
    package = import_module('transformers')
    import_module('transformers.models.dinat.modeling_dinat').requires_backends = lambda *_: None  # no kernel is called
    for family, arch, name, options in TRANSFORMERS:
        kind = 'ForImageClassification' if hasattr(package, f'{name}ForImageClassification') else 'Model'
        model = getattr(package, f'{name}{kind}')(getattr(package, f'{name}Config')(**options))
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            with safe_open(Path(folder) / 'model.safetensors', 'pt') as file:
                shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
        yield {'network': family, 'arch': arch, 'shapes': shapes}


def transformers_4() -> Iterator[dict[str, Any]]:
    """NAT and VAN, which went out with version 5."""
    for family, arch, name, options in TRANSFORMERS_4:
        folder = f'transformers.models.deprecated.{family.lower()}'
        modeling = import_module(f'{folder}.modeling_{family.lower()}')
        modeling.requires_backends = lambda *_: None  # no kernel is called
        config = getattr(import_module(f'{folder}.configuration_{family.lower()}'), f'{name}Config')(**options)
        network = getattr(modeling, f'{name}ForImageClassification')(config)
        yield {'network': family, 'arch': arch, 'shapes': shapes_of(network.state_dict())}


def mask2former() -> Iterator[dict[str, Any]]:
    package = import_module('transformers')
    swin = package.SwinConfig(out_features=[f'stage{i}' for i in (1, 2, 3, 4)])
    with torch.device('meta'):
        model = package.Mask2FormerForUniversalSegmentation(package.Mask2FormerConfig(backbone_config=swin))
    yield {'network': 'Mask2Former', 'arch': 'Swin tiny', 'shapes': shapes_of(model.state_dict())}


def mmseg() -> Iterator[dict[str, Any]]:
    network = import_module('mmseg.models').SwinTransformer()
    yield {'network': 'Swin', 'arch': 'tiny', 'shapes': shapes_of(network.state_dict())}


def mmpretrain() -> Iterator[dict[str, Any]]:
    """Networks of the last release, whose modules are read without their packages: these ask for older OpenMMLab."""
    (folder,) = (path for path in map(Path, sys.path) if (path / 'mmpretrain').is_dir())
    sys.modules['importlib_metadata'] = metadata
    for name in ('mmpretrain', 'mmpretrain.models', 'mmpretrain.models.backbones'):
        package = sys.modules[name] = ModuleType(name)
        package.__path__ = [str(folder / name.replace('.', '/'))]
    for family, (arch, name, options) in MMPRETRAIN.items():
        module, _, cls = name.partition('.')
        network = getattr(import_module(f'mmpretrain.models.backbones.{module}'), cls)(**options)
        yield {'network': family, 'arch': arch, 'shapes': shapes_of(network.state_dict())}


PACKAGES = {
    'timm': (timm, 'timm'),
    'torchvision': (torchvision, 'torchvision'),
    'transformers': (transformers, 'transformers'),
    'transformers_4': (transformers_4, 'transformers'),
    'mmseg': (mmseg, 'OpenMMLab'),
    'mmpretrain': (mmpretrain, 'OpenMMLab'),
}
SYSTEMS = {'transformers': (mask2former, 'transformers')}
"""Package -> (function that yields its whole models, name of the layout)."""


def version_of(name: str) -> str:
    package = name.removesuffix('_4')
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return import_module(package).__version__


def main(out: str, *names: str) -> None:
    chosen = SYSTEMS if Path(out).name == 'mask2former' else PACKAGES
    for name in names or chosen:
        networks, layout = chosen[name]
        entries = [{'layout': layout, **network} for network in networks()]
        lines = ',\n'.join(json.dumps(entry, separators=(',', ':')) for entry in entries)
        text = f'{{"package": "{name}", "version": "{version_of(name)}", "networks": [\n{lines}\n]}}\n'
        Path(out, f'{name}.json').write_text(text)


if __name__ == '__main__':
    main(*sys.argv[1:])
