"""DPT on four maps of a plain backbone: mmsegmentation's, and those of TIPS v2 and CroCo.

Paper: "Vision Transformers for Dense Prediction", https://arxiv.org/abs/2103.13413.
Official code: https://github.com/google-deepmind/tips (Apache-2.0), https://github.com/naver/croco (CC BY-NC-SA 4.0).

The maps are brought to a quarter, half, one and two times the patch's stride, and merged from the coarsest to the
finest by residual convolutions, each time at twice the size. The three differ in what becomes of the class token, in
norms and biases, and in what lies between the merged map and the classes.

Legend: B batch, C channels, H W map in patches, P class token and registers, K classes.
"""

import re
from collections.abc import Sequence
from typing import Any

from mmseg.models.decode_heads import DPTHead as MMSegDPTHead
from torch import Tensor, nn

from denseformer.checkpoints.keys import RenamesKeys, StateDict, drop, kernel_from_jax, rename
from denseformer.registry import MODELS


@MODELS.register_module()
class DPTHead(MMSegDPTHead):
    """mmsegmentation's DPT, for four maps of a plain backbone.

    Args:
        in_channels: of the maps, all the same.
        readout: what becomes of the class token: 'ignore', 'add' or 'project'; the two last ones want a backbone with
            `output_tokens=True`.
        post_process_channels: of the maps at a quarter of the patch's stride, half of it, the stride itself, and twice.
        channels: of the maps that are merged.
        options: those of mmsegmentation's `BaseDecodeHead`.

    Raises ValueError for another number of maps, and where tokens are wanted and not given.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        readout: str = 'ignore',
        post_process_channels: Sequence[int] = (96, 192, 384, 768),
        channels: int = 256,
        **options: Any,
    ):
        if len(in_channels) != len(post_process_channels) or len(set(in_channels)) > 1:
            raise ValueError(f'DPT takes {len(post_process_channels)} maps of one width, got {tuple(in_channels)}.')
        super().__init__(
            embed_dims=in_channels[0],
            readout_type=readout,
            post_process_channels=list(post_process_channels),
            in_channels=list(in_channels),
            channels=channels,
            input_transform='multiple_select',
            in_index=options.pop('in_index', list(range(len(in_channels)))),
            **options,
        )

    def forward(self, inputs: Sequence[Tensor] | Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Maps (B, C, H, W), or pairs of a map and tokens (B, P, C) -> scores (B, K, 8H, 8W)."""
        if isinstance(inputs[0], Tensor):
            if self.reassemble_blocks.readout_type != 'ignore':
                raise ValueError('readout needs the class token: build the backbone with output_tokens=True.')
            return super().forward([(x, x.new_zeros(len(x), x.shape[1])) for x in inputs])
        return super().forward([(x, tokens[:, 0]) for x, tokens in inputs])


class UnnormedDPTHead(RenamesKeys, DPTHead):
    """DPT without norms, whose weights have their authors' names; `dropout_ratio` is 0 unless given."""

    def __init__(self, *, dropout_ratio: float = 0.0, **options: Any):
        super().__init__(norm_cfg=None, dropout_ratio=dropout_ratio, **options)


@MODELS.register_module()
class TIPSDPTHead(UnnormedDPTHead):
    """TIPS v2's decoder: the class token is projected into every patch, and nothing activates the merged map.

    The backbone needs `output_tokens=True`. The authors' files of weights load, for PyTorch and for JAX.

    Args:
        in_channels: C of the maps.
        post_process_channels: see `DPTHead`; None for an eighth, a quarter, half and all of C, as published.
        options: those of `DPTHead`.
    """

    def __init__(
        self, *, in_channels: Sequence[int], post_process_channels: Sequence[int] | None = None, **options: Any
    ):
        width = in_channels[0]
        super().__init__(
            in_channels=in_channels,
            readout='project',
            post_process_channels=post_process_channels or (width // 8, width // 4, width // 2, width),
            **options,
        )
        for projection in self.reassemble_blocks.readout_projects:
            projection[1] = nn.GELU('tanh')
        self.project = nn.Conv2d(self.channels, self.channels, 3, padding=1)

    def own_names(self, state_dict: StateDict) -> StateDict:
        """From the authors' names in PyTorch or JAX; the classifier, a linear layer there, is a convolution here."""
        renamed = rename(
            tips_names_of_jax(state_dict),
            (r'^dpt\.', ''),
            (r'^reassemble\.out_projections\.(\d)\.', r'reassemble_blocks.projects.\1.conv.'),
            (r'^reassemble\.readout_projects\.(\d)\.', r'reassemble_blocks.readout_projects.\1.0.'),
            (r'^reassemble\.', 'reassemble_blocks.'),
            (r'^convs\.(\d)\.weight$', r'convs.\1.conv.weight'),
            (r'\.residual_unit\.conv(\d)\.', r'.res_conv_unit1.conv\1.conv.'),
            (r'\.main_unit\.conv(\d)\.', r'.res_conv_unit2.conv\1.conv.'),
            (r'\.out_conv\.', '.project.conv.'),
            (r'^head\.', 'conv_seg.'),
        )
        weight = renamed.get('conv_seg.weight')
        return renamed if weight is None else {**renamed, 'conv_seg.weight': weight.reshape(*weight.shape[:2], 1, 1)}


def tips_names_of_jax(state_dict: StateDict) -> StateDict:
    """TIPS's decoder under its names in PyTorch, from those in JAX and its order of axes; other names stay; pure."""
    if not any('/' in key for key in state_dict):
        return state_dict

    def unit(match: re.Match) -> str:
        residual = match[1] != '0' and match[2] == '0'  # the coarsest block has no residual unit
        return f'fusion_blocks.{match[1]}.{"residual" if residual else "main"}_unit.'

    return rename(
        {key: from_jax(key, value) for key, value in state_dict.items()},
        (r'^decoder/', ''),
        (r'/', '.'),
        (r'reassemble_blocks\.out_projection_(\d)\.', r'reassemble.out_projections.\1.'),
        (r'reassemble_blocks\.(\w+)_(\d)\.', r'reassemble.\1.\2.'),
        (r'convs_(\d)\.', r'convs.\1.'),
        (r'fusion_blocks_(\d)\.PreActResidualConvUnit_(\d)\.', unit),
        (r'fusion_blocks_(\d)\.(Conv_0|out_conv)\.', r'fusion_blocks.\1.out_conv.'),
        (r'^(pixel_segmentation|segmentation_head)\.', 'head.'),
        (r'\.kernel$', '.weight'),
    )


def from_jax(key: str, value: Tensor) -> Tensor:
    """A parameter of that name with PyTorch's axes."""
    if re.search(r'resize_layers_[01]/kernel$', key):  # transposed convolutions, whose kernels PyTorch turns around
        return value.flip(0, 1).permute(2, 3, 0, 1)
    return kernel_from_jax(value) if key.endswith('/kernel') else value


@MODELS.register_module()
class CroCoDPTHead(UnnormedDPTHead):
    """CroCo's DPT: biases in all residual convolutions, and three more convolutions at the image's size.

    Args:
        in_channels: of the maps, all the same.
        last_channels: in front of the classifier.
        options: those of `DPTHead`; `readout` must be left out, as there is no class token.
    """

    def __init__(self, *, in_channels: Sequence[int], last_channels: int = 32, **options: Any):
        super().__init__(in_channels=in_channels, **options)
        dim = self.channels
        for block in self.fusion_blocks:
            for unit in filter(None, (block.res_conv_unit1, block.res_conv_unit2)):
                unit.conv1.conv, unit.conv2.conv = (nn.Conv2d(dim, dim, 3, padding=1) for _ in range(2))
        self.project = nn.Sequential(
            nn.Conv2d(dim, dim // 2, 3, padding=1),
            nn.UpsamplingBilinear2d(scale_factor=2),
            nn.Conv2d(dim // 2, last_channels, 3, padding=1),
            nn.ReLU(),
        )
        self.conv_seg = nn.Conv2d(last_channels, self.out_channels, 1)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Maps (B, C, H, W) -> scores (B, K, 16H, 16W)."""
        return super().forward(inputs)

    def own_names(self, state_dict: StateDict) -> StateDict:
        """From the authors' names, who keep some layers twice, and refinenet4's first unit, which has no use."""

        def block(match: re.Match) -> str:
            return f'fusion_blocks.{4 - int(match[1])}.'

        return rename(
            drop(
                rename(state_dict, (r'^dpt\.', '')),
                r'^scratch\.layer\d_rn\.',
                r'^act_\d_postprocess\.',
                r'^scratch\.refinenet4\.resConfUnit1\.',
            ),
            (r'^act_postprocess\.(\d)\.0\.', r'reassemble_blocks.projects.\1.conv.'),
            (r'^act_postprocess\.(\d)\.1\.', r'reassemble_blocks.resize_layers.\1.'),
            (r'^scratch\.layer_rn\.(\d)\.', r'convs.\1.conv.'),
            (r'^scratch\.refinenet(\d)\.', block),
            (r'\.resConfUnit(\d)\.conv(\d)\.', r'.res_conv_unit\1.conv\2.conv.'),
            (r'\.out_conv\.', '.project.conv.'),
            (r'^head\.([02])\.', r'project.\1.'),
            (r'^head\.4\.', 'conv_seg.'),
        )
