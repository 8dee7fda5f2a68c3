"""Every family's smallest variant, beside mmsegmentation's, timm's and the authors' own where they have it.

timm is no dependency of the project: its networks take part where it is installed together with torchvision. They end
in the output norms of the dense networks, which they lack. The authors' code takes part where it is cloned
(`authors.py`), of the families where it is slow by construction.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.authors import Authors, is_cloned
from benchmarks.harness import Comparison
from benchmarks.neighborhood import DEVICE, contend, has_timm, inference, mmseg_swin, training_step
from denseformer.backbones import Backbone

SIDE = 512
TASKS = {
    'inference': (inference, torch.float32),
    'inference, bfloat16': (inference, torch.bfloat16),
    'training step': (training_step, torch.float32),
    'training step, bfloat16': (training_step, torch.bfloat16),
}
TIMM = {
    'ConvNeXt': 'convnext_tiny',
    'DaViT': 'davit_tiny',
    'FocalNet': 'focalnet_tiny_srf',
    'GCViT': 'gcvit_xxtiny',
    'HaloNet': 'halonet26t',
    'MaxViT': 'maxvit_tiny_tf_512',
    'PoolFormer': 'poolformer_s12',
    'Swin': 'swin_tiny_patch4_window7_224',
    'SwinV2': 'swinv2_tiny_window8_256',
}
SIZED = ('Swin', 'SwinV2', 'GCViT', 'MaxViT')
"""Those whose windows or tables timm makes for one image size."""
CHANNELS_LAST = ('Swin', 'SwinV2')
DENSE = {'FocalNet': {'focal_windows': (9, 9, 9, 9)}}
"""Options that make timm's of the size of the dense network."""
WIDE = {'GCViT': (16, 16, 32, 16), 'MaxViT': 16}
"""The windows that timm's give an image of that size, where ours keep those of the published detectors."""
Makers = Mapping[str, Callable[[], nn.Module]]


NORM = partial(nn.LayerNorm, eps=1e-6)
AUTHORS_SIDE = 448
"""A size that all of them take."""
AUTHORS = {
    'BiFormer': Authors(
        'BiFormer/models/biformer.py',
        'BiFormer',
        {
            'depth': [2, 2, 8, 2],
            'embed_dim': [64, 128, 256, 512],
            'qk_dims': [64, 128, 256, 512],
            'mlp_ratios': [3] * 4,
            'head_dim': 32,
            'kv_downsample_mode': 'identity',
            'kv_per_wins': [-1] * 4,
            'topks': [1, 4, 16, -2],
        },
        {'windows_per_side': 7},
    ),
    'SGFormer': Authors(
        'SG-Former/sgformer.py',
        'SGFormer',
        {
            'img_size': AUTHORS_SIDE,
            'patch_size': 4,
            'num_heads': [2, 4, 8, 16],
            'depths': [2, 4, 16, 1],
            'qkv_bias': True,
            'norm_layer': NORM,
        },
    ),
    'STViT': Authors(
        'STViT/models/stvit.py',
        'STViT',
        {
            'embed_dim': [64, 128, 320, 512],
            'depths': [3, 5, 9, 3],
            'num_heads': [1, 2, 5, 8],
            'stoken_size': [8, 4, 1, 1],
            'projection': 1024,
        },
    ),
    'TransNeXt': Authors(
        'TransNeXt/segmentation/upernet/transnext_native.py',
        'TransNeXt',
        {
            'img_size': AUTHORS_SIDE,
            'pretrain_size': 224,
            'patch_size': 4,
            'embed_dims': [48, 96, 192, 384],
            'num_heads': [2, 4, 8, 16],
            'mlp_ratios': [8, 8, 4, 4],
            'qkv_bias': True,
            'norm_layer': NORM,
            'depths': [2, 2, 15, 2],
        },
        {'image_size': AUTHORS_SIDE},
    ),
}


def comparisons() -> Iterator[Comparison]:
    for cls in Backbone.families():
        name = cls.registered_name()
        for title, (task, dtype) in TASKS.items():
            image = torch.randn(1, 3, SIDE, SIDE, device=DEVICE)
            for group, networks in groups(cls):
                contenders = (contend(label, make, task, image, dtype) for label, make in networks.items())
                yield Comparison(f'{group}, {title}', tuple(contenders))
        if name in AUTHORS:
            yield beside_authors(cls, AUTHORS[name])


def groups(cls: type[Backbone]) -> Iterator[tuple[str, Makers]]:
    """The networks that take turns on an image, ours first, under a name for the group."""
    name = cls.registered_name()
    ours = f'{name}-{next(iter(cls.archs))}'
    if name in WIDE:
        yield name, {ours: partial(build, cls)}
        wide = {f'{ours}, wide windows': partial(build, cls, window_size=WIDE[name])}
        yield f'{name} with wide windows', {**wide, **peers(cls)}
    else:
        yield name, {ours: partial(build, cls), **peers(cls)}


def peers(cls: type[Backbone]) -> Makers:
    found: dict[str, Callable[[], nn.Module]] = {}
    name = cls.registered_name()
    if name == 'Swin':
        found["mmseg's"] = mmseg_swin
    if name in TIMM and has_timm():
        found["timm's"] = partial(build_timm, cls)
    return found


def beside_authors(cls: type[Backbone], authors: Authors) -> Comparison:
    name = cls.registered_name()
    networks = {f'{name}-{next(iter(cls.archs))}': partial(build, cls, **authors.options)}
    if is_cloned(authors.file):
        networks["the authors'"] = lambda: authors.build().to(DEVICE)
    image = torch.randn(1, 3, AUTHORS_SIDE, AUTHORS_SIDE, device=DEVICE)
    contenders = (contend(label, make, inference, image, torch.float32) for label, make in networks.items())
    return Comparison(f"{name} beside the authors' code, inference at {AUTHORS_SIDE} x {AUTHORS_SIDE}", (*contenders,))


def build(cls: type[Backbone], **options: Any) -> nn.Module:
    """The smallest variant."""
    return cls(arch=next(iter(cls.archs)), **options).to(DEVICE)


def build_timm(cls: type[Backbone]) -> nn.Module:
    import timm

    name = cls.registered_name()
    size = {'img_size': SIDE} if name in SIZED else {}
    network = timm.create_model(TIMM[name], features_only=True, **size, **DENSE.get(name, {}))
    norms = cls.on_meta_device(arch=next(iter(cls.archs))).out_norms.to_empty(device='cpu')
    return WithNorms(network, norms, channels_last=name in CHANNELS_LAST).to(DEVICE)


class WithNorms(nn.Module):
    """The last four maps of a `network`, each normalised: LayerNorm over its channels, or as the norm is.

    channels_last: whether the maps are (B, H, W, C) rather than (B, C, H, W).
    """

    def __init__(self, network: nn.Module, norms: nn.ModuleList, *, channels_last: bool):
        super().__init__()
        self.network, self.norms, self.channels_last = network, norms, channels_last
        for norm in norms:
            if not isinstance(norm, nn.Identity):
                norm.reset_parameters()

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.normalised(norm, x) for norm, x in zip(self.norms, self.network(image)[-4:], strict=True)]

    def normalised(self, norm: nn.Module, x: Tensor) -> Tensor:
        if self.channels_last or not isinstance(norm, nn.LayerNorm):
            return norm(x)
        return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # (B, C, H, W)
