"""Plain transformers and SegFormer's encoder beside timm's and transformers', at 512 and 1024 pixels.

Both packages are no dependencies of the project and take part where they are installed (the extra `benchmarks`). Before
anything is timed, the weights of each peer are loaded into ours, which knows their names, and the last maps compared.
"""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import parent_process
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.backbones import TASKS
from benchmarks.harness import Comparison
from benchmarks.neighborhood import DEVICE, contend, has_timm, training_step
from denseformer.kernels.products import HAS_BFLOAT16
from denseformer.registry import MODELS

SIDES = (512, 1024)
CHECKED = 128
"""Side of the image on which maps are compared; that of SAM, whose tables are made for one size, is its own, too."""
TOLERANCE = 1e-3
"""The largest deviation of a map that counts as equal: SegFormer's norms have another epsilon in transformers."""
Make = Callable[[int], nn.Module]
Cut = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


@dataclass(frozen=True)
class Family:
    """ours: type and options of our network, whose maps the peers' are compared with; sized: whether it is told the
    side of its images; prefix: tokens in front of the patches; patch: images are multiples of it; settings and options:
    those of transformers' and timm's; cut: what `ours`, `options` and `settings` are of one block alone.
    """

    ours: dict[str, Any]
    sized: bool = True
    prefix: int = 0
    patch: int = 16
    timm: str | None = None
    transformers: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    cut: Cut | None = None


LAST = dict(out_indices=(11,), norm_outputs=True)
SMALL = dict(hidden_size=384, num_hidden_layers=12, num_attention_heads=6)
CUT = (
    dict(arch=dict(width=384, heads=6, blocks=1), out_indices=(0,)),
    dict(depth=1),
    dict(num_hidden_layers=1),
)
SAM_CUT = (
    dict(arch=dict(width=768, heads=12, blocks=1, global_blocks=(0,)), out_indices=(0,)),
    dict(depth=1, global_attn_indexes=(0,)),
    dict(num_hidden_layers=1, global_attn_indexes=(0,)),
)
FAMILIES = {
    'ViT': Family(
        dict(type='ViT', arch='small', **LAST),
        prefix=1,
        timm='vit_small_patch16_224',
        transformers='ViT',
        settings=dict(**SMALL, intermediate_size=1536, layer_norm_eps=1e-6),
        cut=CUT,
    ),
    'DINOv2': Family(
        dict(type='DINOv2', arch='small', **LAST),
        prefix=1,
        patch=14,
        timm='vit_small_patch14_dinov2',
        transformers='Dinov2',
        settings=dict(**SMALL, patch_size=14),
        cut=CUT,
    ),
    'DINOv3': Family(
        dict(type='DINOv3', arch='small', **LAST),
        sized=False,
        prefix=5,
        timm='vit_small_patch16_dinov3_qkvb',
        transformers='DINOv3ViT',
        settings=dict(**SMALL, intermediate_size=1536, patch_size=16, num_register_tokens=4),
        cut=CUT,
    ),
    'Hiera': Family(dict(type='Hiera', arch='tiny'), patch=32, timm='hiera_tiny_224'),
    'SAM': Family(
        dict(type='SAM', arch='base', neck=True, out_indices=(11,)),
        timm='samvit_base_patch16',
        transformers='SamVision',
        cut=SAM_CUT,
    ),
    'MiT': Family(dict(type='MiT', arch='b0'), sized=False, patch=32, transformers='Segformer'),
}


def comparisons() -> Iterator[Comparison]:
    for name, family in FAMILIES.items():
        for label, make in peers(family).items():
            if parent_process() is None:  # a process that measures memory begins with nothing
                check_agreement(family, label, make)
        for side in (side // family.patch * family.patch for side in SIDES):
            image = torch.randn(1, 3, side, side, device=DEVICE)
            for title, (task, dtype) in TASKS.items():
                shown, blocks = family, ''
                if family.cut and dtype is torch.bfloat16 and not HAS_BFLOAT16 and takes_minutes(name, side, task):
                    shown, blocks = one_block(family, family.cut), ', one block'
                contenders = [
                    contend(label, partial(make, side), task, image, dtype)
                    for label, make in {'ours': partial(build, shown), **peers(shown)}.items()
                ]
                if name == 'SAM' and dtype is torch.bfloat16:  # the counter takes an einsum apart outside autocast
                    contenders = [replace(contender, countable=False) for contender in contenders]
                yield Comparison(f'{name} at {side} x {side}, {title}{blocks}', tuple(contenders))


def takes_minutes(name: str, side: int, task: Callable[..., Any]) -> bool:
    """Whether peers take minutes where the CPU has no arithmetic for the dtype."""
    return task is training_step or (name == 'SAM' and side > SIDES[0])


def one_block(family: Family, cut: Cut) -> Family:
    ours, options, settings = cut
    return replace(
        family,
        ours={**family.ours, **ours},
        options={**family.options, **options},
        settings={**family.settings, **settings},
    )


def peers(family: Family) -> dict[str, Make]:
    found: dict[str, Make] = {}
    if family.timm and has_timm():
        found["timm's"] = partial(build_timm, family)
    if family.transformers and importlib.util.find_spec('transformers'):
        found["transformers'"] = partial(build_transformers, family)
    return found


def build(family: Family, side: int) -> nn.Module:
    options = {**family.ours, 'type': f'denseformer.{family.ours["type"]}'}
    return MODELS.build({**options, **({'image_size': side} if family.sized else {})}).to(DEVICE)


def build_timm(family: Family, side: int) -> nn.Module:
    import timm

    network = timm.create_model(family.timm, img_size=side, num_classes=0, **family.options)
    return Peer(network, partial(timm_maps, family=family, network=network), family.prefix).to(DEVICE)


def timm_maps(image: Tensor, *, family: Family, network: nn.Module) -> Any:
    if family.ours['type'] == 'Hiera':
        return network.forward_intermediates(image, norm=False, intermediates_only=True)
    return network.forward_features(image)


def build_transformers(family: Family, side: int) -> nn.Module:
    import transformers

    kind = family.transformers
    settings = {**family.settings, 'image_size': side} if family.sized else family.settings
    network = getattr(transformers, f'{kind}Model')(getattr(transformers, f'{kind}Config')(**settings))
    return Peer(network, partial(transformers_maps, family=family, network=network), family.prefix).to(DEVICE)


def transformers_maps(image: Tensor, *, family: Family, network: nn.Module) -> Any:
    if family.ours['type'] == 'MiT':
        return network(image, output_hidden_states=True).hidden_states
    return network(image).last_hidden_state


class Peer(nn.Module):
    """A network of another package, which returns maps as ours does.

    run: the image to a map, several, or tokens behind `prefix` others.
    """

    def __init__(self, network: nn.Module, run: Callable[[Tensor], Any], prefix: int):
        super().__init__()
        self.network, self.run, self.prefix = network, run, prefix

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        out = self.run(image)
        if not isinstance(out, Tensor):
            return tuple(out)[-4:]
        if out.ndim == 3:
            side = int((out.shape[1] - self.prefix) ** 0.5)
            out = out[:, self.prefix :].transpose(1, 2).unflatten(2, (side, side))
        return (out,)


@torch.no_grad()
def check_agreement(family: Family, label: str, make: Make) -> None:
    """Raise an AssertionError unless ours, with a peer's weights, has its last map."""
    side = CHECKED // family.patch * family.patch
    torch.manual_seed(0)
    peer, ours = make(side).eval(), build(family, side).eval()
    for parameter in peer.parameters():  # what starts at zero or one would hide differences
        parameter.add_(0.02 * torch.randn_like(parameter))
    left = ours.load_state_dict(peer.network.state_dict(), strict=False)
    assert not left.missing_keys, f'{family.ours["type"]} beside {label}: {left.missing_keys[:3]} are not set'
    image = torch.randn(1, 3, side, side, device=DEVICE)
    found, expected = ours(image)[-1], peer(image)[-1]
    deviation = ((found - expected).abs().max() / expected.std()).item()
    assert deviation < TOLERANCE, f'{family.ours["type"]} is {deviation:.1e} away from {label}'
