"""The operators that mmcv compiles, called as mmdetection calls them: with ours, and with the compiled ones.

Every contender goes through mmcv's own functions; what differs is the extension that these call. Where mmcv was built
without a compiler ours stands alone; `make install-ops` builds it with one. mmcv has no compiled deformable attention
and focal loss on CPU: there ours is beside the PyTorch code that mmcv and mmdetection run instead.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from inspect import unwrap
from types import SimpleNamespace
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.harness import Comparison, Contender
from denseformer.inference import Predictor
from denseformer.ops import dispatch
from denseformer.ops.mmcv_ext import OPERATORS

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
CALLERS = ('deform_conv', 'focal_loss', 'modulated_deform_conv', 'multi_scale_deform_attn', 'nms', 'roi_align')
IMAGE = (800, 1216)
STRIDES = (4, 8, 16, 32)
Function = Callable[[], object]


def comparisons() -> Iterator[Comparison]:
    for n in (1_000, 10_000):
        yield beside_compiled(f'nms, {n} boxes', lambda n=n: suppression(n))
    yield beside_compiled('batched_nms, 8000 boxes in 5 levels', levelled_suppression)
    yield beside_compiled('soft_nms, 1000 boxes', soft_suppression)
    for side in (7, 14):
        yield beside_compiled(f'RoIAlign, 512 boxes, {side} x {side}', lambda side=side: pooling(side, backward=False))
        yield beside_compiled(
            f'RoIAlign, 512 boxes, {side} x {side}, and backward', lambda side=side: pooling(side, backward=True)
        )
    yield beside_compiled('RoIAlign, 512 boxes, 7 x 7, maximum', lambda: pooling(7, backward=False, mode='max'))
    for modulated in (False, True):
        name = 'modulated deformable convolution' if modulated else 'deformable convolution'
        yield beside_compiled(f'{name}, 256 channels, 50 x 76', lambda m=modulated: convolution(m, backward=False))
        yield beside_compiled(
            f'{name}, 256 channels, 50 x 76, and backward', lambda m=modulated: convolution(m, backward=True)
        )
    yield attentions('deformable attention, 20 000 queries', backward=False)
    yield attentions('deformable attention, 20 000 queries, and backward', backward=True)
    yield losses()
    if DEVICE == 'cpu':
        yield mask2former()


def beside_compiled(title: str, make: Callable[[], Function]) -> Comparison:
    contenders = [Contender('ours', lambda: with_ours(make()), countable=False)]
    if dispatch.mmcv_is_compiled():
        contenders.append(Contender('mmcv, compiled', make, countable=False))
    return Comparison(title, tuple(contenders))


def with_ours(function: Function) -> Function:
    """`function`, in which mmcv's operators call ours."""
    extension = SimpleNamespace(**OPERATORS)

    def run() -> None:
        with ExitStack() as stack:
            stack.enter_context(patch.object(dispatch, 'torchvision_ops', lambda: None))
            for caller in CALLERS:
                stack.enter_context(patch(f'mmcv.ops.{caller}.ext_module', extension))
            function()

    return run


def random_boxes(n: int) -> Tensor:
    """(n, 4): twenty around each of n / 20 objects of 16 to 512 pixels, as a network proposes them."""
    sides = 16 * 2 ** (5 * torch.rand(n // 20, 2))  # width and height
    centres = torch.rand(n // 20, 2) * torch.tensor(IMAGE[::-1])
    sides, centres = sides.repeat(20, 1), centres.repeat(20, 1)
    centres = centres + 0.15 * sides * torch.randn(n, 2)
    sides = sides * torch.exp(0.2 * torch.randn(n, 2))
    return torch.cat([centres - sides / 2, centres + sides / 2], 1).to(DEVICE)


def suppression(n: int) -> Function:
    from mmcv.ops import nms

    boxes, scores = random_boxes(n), torch.rand(n, device=DEVICE)
    return lambda: nms(boxes, scores, 0.7)


def levelled_suppression() -> Function:
    from mmcv.ops import batched_nms

    boxes, scores = random_boxes(8000), torch.rand(8000, device=DEVICE)
    levels = torch.arange(8000, device=DEVICE) % 5
    return lambda: batched_nms(boxes, scores, levels, dict(type='nms', iou_threshold=0.7))


def soft_suppression() -> Function:
    from mmcv.ops import soft_nms

    boxes, scores = random_boxes(1000), torch.rand(1000, device=DEVICE)
    return lambda: soft_nms(boxes, scores, method='gaussian')


def pooling(side: int, *, backward: bool, mode: str = 'avg') -> Function:
    """512 boxes of one image, each from the level of a pyramid of 256 channels that its size belongs to."""
    from mmcv.ops import RoIAlign

    maps = [
        torch.randn(1, 256, *(math.ceil(s / stride) for s in IMAGE), device=DEVICE, requires_grad=backward)
        for stride in STRIDES
    ]
    boxes = random_boxes(20 * 512)[:512]  # of as many objects
    sides = (boxes[:, 2:] - boxes[:, :2]).prod(1).sqrt()
    levels = (sides / 56).log2().floor().clamp(0, 3).long()
    rois = torch.cat([boxes.new_zeros(512, 1), boxes], 1)
    groups = [rois[levels == level] for level in range(len(STRIDES))]
    aligns = [RoIAlign(side, 1 / stride, pool_mode=mode) for stride in STRIDES]

    def run() -> None:
        pooled = torch.cat([align(*pair) for align, *pair in zip(aligns, maps, groups, strict=True)])
        if backward:
            torch.autograd.grad(pooled, maps, torch.ones_like(pooled))

    return run


def convolution(modulated: bool, *, backward: bool) -> Function:
    from mmcv.ops import deform_conv2d, modulated_deform_conv2d

    x, offset = torch.randn(2, 256, 50, 76, device=DEVICE), torch.randn(2, 18, 50, 76, device=DEVICE)
    weight = torch.randn(256, 256, 3, 3, device=DEVICE) / 48
    mask, bias = torch.rand(2, 9, 50, 76, device=DEVICE), torch.zeros(256, device=DEVICE)
    inputs = (x, offset, mask, weight, bias) if modulated else (x, offset, weight)
    operator = modulated_deform_conv2d if modulated else deform_conv2d
    return differentiated(lambda *tensors: operator(*tensors, 1, 1), inputs, backward)


def differentiated(operator: Callable[..., Tensor], inputs: tuple[Tensor, ...], backward: bool) -> Function:
    inputs = tuple(tensor.requires_grad_(backward) for tensor in inputs)

    def run() -> None:
        out = operator(*inputs)
        if backward:
            torch.autograd.grad(out, inputs, torch.ones_like(out))

    return run


def attentions(title: str, *, backward: bool) -> Comparison:
    """The encoder of Mask2Former on an 800 x 1216 image: every position of three levels looks around itself."""
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction, multi_scale_deformable_attn_pytorch

    shapes = torch.tensor([[math.ceil(s / stride) for s in IMAGE] for stride in STRIDES[:0:-1]], device=DEVICE)
    sizes = shapes.prod(1)
    starts = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)[:-1]])
    queries = int(sizes.sum())
    places = torch.cat([centres(*shape) for shape in shapes.tolist()])  # (queries, 2)

    def make(operator: Callable[..., Tensor]) -> Function:
        value = torch.randn(1, queries, 8, 32, device=DEVICE)
        locations = places[:, None, None, None] + torch.randn(1, queries, 8, 3, 4, 2, device=DEVICE) / 20
        weights = torch.rand(1, queries, 8, 3, 4, device=DEVICE).flatten(-2).softmax(-1).unflatten(-1, (3, 4))
        return differentiated(operator, (value, locations, weights), backward)

    def extension(value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
        return MultiScaleDeformableAttnFunction.apply(value, shapes, starts, locations, weights, 64)

    def plain(value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
        return unwrap(multi_scale_deformable_attn_pytorch)(value, shapes, locations, weights)

    contenders = [
        Contender('ours', lambda: with_ours(make(extension)), countable=False),
        Contender("mmcv's PyTorch", lambda: make(plain), countable=False),
    ]
    if DEVICE == 'cuda' and dispatch.mmcv_is_compiled():
        contenders.append(Contender('mmcv, compiled', lambda: make(extension), countable=False))
    return Comparison(title, tuple(contenders))


def mask2former() -> Comparison:
    """A 512 x 512 image through Mask2Former with Swin-Tiny, files and drawings left out."""

    from mmcv.ops import multi_scale_deform_attn as mmcv

    def make(choose: Callable[[Function], Function]) -> Function:
        predictor = Predictor('configs/mask2former_swin_semantic_ade20k.py', device=DEVICE, native=True)
        attention = choose(mmcv.multi_scale_deformable_attn_pytorch)
        image = torch.randint(0, 255, (512, 512, 3), dtype=torch.uint8).numpy()

        def run() -> None:
            with patch.object(mmcv, 'multi_scale_deformable_attn_pytorch', attention):
                list(predictor(image))

        return run

    contenders = (
        Contender('attention of ours', lambda: make(lambda ours: ours), countable=False),
        Contender("attention of mmcv's PyTorch", lambda: make(unwrap), countable=False),
    )
    return Comparison('Mask2Former with Swin-Tiny, 512 x 512 image', contenders)


def centres(height: int, width: int) -> Tensor:
    """(height * width, 2): x and y in 0 .. 1 of the centre of each cell."""
    y, x = torch.meshgrid(*(torch.arange(n, device=DEVICE).add(0.5) / n for n in (height, width)), indexing='ij')
    return torch.stack([x, y], -1).flatten(0, 1)


def losses() -> Comparison:
    """A RetinaNet's on 20 000 anchors and 80 classes, forward and backward."""
    from mmcv.ops import sigmoid_focal_loss
    from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss

    def make(loss: Callable[[Tensor, Tensor], Tensor]) -> Function:
        target = torch.randint(0, 81, (20_000,), device=DEVICE)
        return differentiated(lambda logits: loss(logits, target), (torch.randn(20_000, 80, device=DEVICE),), True)

    def extension(logits: Tensor, target: Tensor) -> Tensor:
        return sigmoid_focal_loss(logits, target, 2.0, 0.25, None, 'sum')

    def plain(logits: Tensor, target: Tensor) -> Tensor:
        one_hot = torch.nn.functional.one_hot(target, 81)[:, :80]
        return py_sigmoid_focal_loss(logits, one_hot, reduction='sum')

    contenders = [
        Contender('ours', lambda: with_ours(make(extension)), countable=False),
        Contender("mmdetection's PyTorch", lambda: make(plain), countable=False),
    ]
    if DEVICE == 'cuda' and dispatch.mmcv_is_compiled():
        contenders.append(Contender('mmcv, compiled', lambda: make(extension), countable=False))
    return Comparison('sigmoid focal loss and backward, 20 000 x 80', tuple(contenders))
