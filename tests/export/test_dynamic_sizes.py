"""Parts that work piece by piece, or by the size of a map, are traced for any size, and give the same there."""

from collections.abc import Callable

import pytest
import torch
from mmseg.models.utils import resize
from torch import Tensor, nn
from torch.export import Dim

from denseformer.attention import dynamic_conv, significance
from denseformer.attention.aggregation import grouped_attention, grouping_order
from denseformer.attention.patches import average_patches, balanced_starts, extract_patches, stepped_starts, take_tokens
from denseformer.backbones.global_attention.favit import window_summary
from denseformer.backbones.global_attention.transnext import ContinuousPositionBias, GlobalCosineAttention
from denseformer.backbones.linear_attention.inline import convolve_each
from denseformer.backbones.windows.maxvit import SameConv
from denseformer.export.exporting import sizes_unread
from denseformer.export.tracing import TorchExport
from denseformer.kernels import dynamic_conv as dynamic_conv_kernel
from denseformer.layers import ShiftedWindowAttention
from denseformer.segmentation.segmentor import fitted

C = 4


class Part(nn.Module):
    """A function of a map (B, H, W, C), and the modules that it calls."""

    def __init__(self, function: Callable[[Tensor], Tensor], *modules: nn.Module):
        super().__init__()
        self.function, self.called = function, nn.ModuleList(modules)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def in_patches(x: Tensor, starts_of: Callable[[int], tuple]) -> Tensor:
    starts = starts_of(x.shape[1]), starts_of(x.shape[2])
    patches = extract_patches(x, (8, 8), starts)
    return average_patches(patches * torch.arange(64.0)[:, None], (8, 8), starts, (x.shape[1], x.shape[2]))


def in_groups(x: Tensor) -> Tensor:
    tokens = x.flatten(1, 2)
    order = grouping_order((tokens[..., 0] * 5).long(), 8)
    heads = take_tokens(tokens, order).unflatten(-1, (2, 2))
    return grouped_attention(heads, heads, heads, 8)


def in_strips(x: Tensor) -> Tensor:
    weight = torch.linspace(-1, 1, 2 * 9 * C).view(18, C)
    x = x.permute(0, 3, 1, 2)
    return dynamic_conv.dynamic_depthwise(x, x, weight, weight[:, 0], 3)


def in_parts(x: Tensor) -> Tensor:
    tokens = x.flatten(1, 2)[:, None]  # (B, 1, N, C)
    return significance.attention_received(tokens, tokens)


def enlarged_by_corners(x: Tensor) -> Tensor:
    with sizes_unread():
        size = (2 * x.shape[1], 3 * x.shape[2])
        return resize(x.permute(0, 3, 1, 2), size, mode='bilinear', align_corners=True)


def parts() -> dict[str, Part]:
    torch.manual_seed(0)
    conv = SameConv(C, C, 3, 2)
    windows = ShiftedWindowAttention(C, 1, window=10, shift=5, shift_small_maps=False)
    attention = GlobalCosineAttention(12 * C, 2, ContinuousPositionBias(2, pretrained=7, trained=(7, 7)))
    return {
        'patches at equal steps': Part(lambda x: in_patches(x, lambda side: stepped_starts(side, 8, 6))),
        'patches that are balanced': Part(lambda x: in_patches(x, lambda side: balanced_starts(side, 8))),
        'groups of sorted tokens': Part(in_groups),
        'strips of dynamic convolution': Part(in_strips),
        'parts of queries': Part(in_parts),
        'a kernel for each image': Part(lambda x: convolve_each(x, x.sum((1, 2)).repeat(1, 9)[..., None])),
        'windows that summarize a map': Part(lambda x: window_summary(x, 2, 2)),
        'padding by a remainder': Part(lambda x: conv(x.permute(0, 3, 1, 2)), conv),
        'windows that shift on maps of several alone': Part(windows, windows),
        'maps fitted to one another': Part(lambda x: fitted(x[:, :, 1:], x)),
        'corners that mmsegmentation aligns': Part(enlarged_by_corners),
        'logits that know how many keys there are': Part(lambda x: attention(x.repeat(1, 1, 1, 12)), attention),
    }


@pytest.mark.parametrize('name', parts())
def test_a_part_is_traced_for_any_size(name, monkeypatch):
    monkeypatch.setattr(significance, 'QUERIES_AT_ONCE', 100)
    monkeypatch.setattr(dynamic_conv_kernel, 'STRIP', 1000)
    part = parts()[name].eval()
    dynamic_axes = ({0: Dim.DYNAMIC, 1: Dim.DYNAMIC, 2: Dim.DYNAMIC},)
    with torch.no_grad():
        program = torch.export.export(part, (torch.rand(2, 20, 31, C),), dynamic_shapes=dynamic_axes, strict=False)
        traced = TorchExport(program).program.module(check_guards=False)
        for size in [(1, 17, 40), (3, 32, 9), (2, 21, 30)]:
            x = torch.rand(*size, C)
            torch.testing.assert_close(traced(x), part(x))
