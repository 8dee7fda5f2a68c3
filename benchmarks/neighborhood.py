"""Neighborhood attention: DiNAT-Tiny beside a Swin-Tiny of about the same arithmetic, and the operator by itself."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
from mmseg.models.backbones import SwinTransformer
from torch import Tensor, nn

from benchmarks.harness import Comparison, Contender
from denseformer.attention.neighborhood import unchecked_attention
from denseformer.backbones.neighborhood.dinat import DiNAT
from denseformer.kernels.products import HAS_BFLOAT16

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
DILATIONS = (1, 2, 3, 4, 5, 7, 8, 10, 14, 16, 20, 28)
"""All that a published recipe has."""
Function = Callable[[], object]


def comparisons() -> Iterator[Comparison]:
    yield from networks()
    yield from network_sizes()
    yield from operator_sizes()
    yield from operator_dilations()
    yield from operator_odd_sizes()


def networks() -> Iterator[Comparison]:
    image = torch.randn(1, 3, 512, 512, device=DEVICE)
    peers = {'Swin-Tiny (mmseg)': mmseg_swin, **({'Swin-Tiny (timm)': timm_swin} if has_timm() else {})}
    tasks = {
        'inference, float32': (inference, torch.float32),
        'inference, bfloat16': (inference, torch.bfloat16),
        'training step, float32': (training_step, torch.float32),
    }
    for title, (task, dtype) in tasks.items():
        contenders = (contend(name, make, task, image, dtype) for name, make in {'DiNAT-Tiny': dinat, **peers}.items())
        yield Comparison(f'512 x 512 image, {title}', tuple(contenders))
    yield Comparison(
        '512 x 512 image, DiNAT-Tiny, bfloat16 under autocast beside float32',
        tuple(contend(str(dtype), dinat, inference, image, dtype) for dtype in (torch.bfloat16, torch.float32)),
    )
    yield Comparison(
        '512 x 512 image, DiNAT-Tiny, compiled beside eager',
        (
            replace(contend('compiled', compiled_dinat, inference, image, torch.float32), countable=False),
            contend('eager', dinat, inference, image, torch.float32),
        ),
    )


def network_sizes() -> Iterator[Comparison]:
    """DiNAT-Tiny with the dilations of each recipe, time per pixel of the image."""
    for dilations in ('imagenet', 'ade20k', 'coco'):
        contenders = []
        for side in (512, 256, 1024, 2048):
            image = torch.randn(1, 3, side, side, device=DEVICE)
            network = partial(dinat, dilations=dilations)
            contender = contend(f'{side} x {side}', network, inference, image, torch.float32)
            contenders.append(replace(contender, units=side**2))
        yield Comparison(f"DiNAT-Tiny, image size, dilations '{dilations}'", tuple(contenders))


def contend(
    name: str, make: Callable[[], nn.Module], task: Callable[..., Function], image: Tensor, dtype: torch.dtype
) -> Contender:
    emulated = dtype is torch.bfloat16 and DEVICE == 'cpu' and not HAS_BFLOAT16
    return Contender(name, lambda: task(make(), image, dtype), dtype, countable=not emulated)


def operator_sizes() -> Iterator[Comparison]:
    """The first stage of an image from 256 x 256 to 2048 x 2048, time per pixel of the map."""
    for dilation in DILATIONS:
        sides = (128, 64, 256, 512)
        contenders = tuple(operator(f'{side} x {side}', side, side, dilation) for side in sides)
        yield Comparison(f'operator, map size, dilation {dilation}', contenders)


def operator_dilations() -> Iterator[Comparison]:
    contenders = tuple(operator(f'dilation {dilation}', 224, 224, dilation) for dilation in DILATIONS)
    yield Comparison('operator, dilations on a 224 x 224 map', contenders)


def operator_odd_sizes() -> Iterator[Comparison]:
    for dilation in (1, 4):
        sides = (128, 121, 122, 123, 125, 127)
        contenders = tuple(operator(f'{side} x {side}', side, side, dilation) for side in sides)
        yield Comparison(f'operator, odd sizes, dilation {dilation}', contenders)


def operator(name: str, height: int, width: int, dilation: int) -> Contender:
    def make() -> Function:
        sides = (side if side >= 7 * dilation else side + 1 for side in (height, width))  # as NeighborhoodAttention has
        q, k, v = torch.randn(1, *sides, 3, 2, 32, device=DEVICE).unbind(3)
        q = q[:, :height, :width]
        bias = torch.randn(2, 13, 13, device=DEVICE)

        @torch.inference_mode()
        def run() -> Tensor:
            return unchecked_attention(q, k, v, bias, 7, dilation, 32**-0.5)

        return run

    return Contender(name, make, units=height * width)


def inference(network: nn.Module, image: Tensor, dtype: torch.dtype) -> Function:
    network.eval()

    def run() -> None:
        with torch.inference_mode(), torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
            network(image)

    run()
    return run


def training_step(network: nn.Module, image: Tensor, dtype: torch.dtype) -> Function:
    network.train()

    def run() -> None:
        with torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
            outs = network(image)
            loss = sum(out.float().square().mean() for out in (outs if isinstance(outs, tuple) else (outs,)))
        loss.backward()
        network.zero_grad()

    run()
    return run


def dinat(dilations: str = 'ade20k') -> nn.Module:
    return DiNAT(arch='tiny', dilations=dilations).to(DEVICE)


def compiled_dinat() -> nn.Module:
    return torch.compile(dinat(), fullgraph=True)


def mmseg_swin() -> nn.Module:
    return SwinTransformer(drop_path_rate=0.0).to(DEVICE)


def timm_swin() -> nn.Module:
    import timm

    return timm.create_model('swin_tiny_patch4_window7_224', features_only=True, img_size=512).to(DEVICE)


def has_timm() -> bool:
    try:
        import timm  # noqa: F401
    except (ImportError, RuntimeError):  # absent, or without a torchvision that fits this PyTorch
        return False
    return True
