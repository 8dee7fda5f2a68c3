"""mmsegmentation's HRNet by its width, with polarized self-attention where its authors put it, or another plugin.

Papers: "Deep High-Resolution Representation Learning for Visual Recognition", https://arxiv.org/abs/1908.07919;
"Polarized Self-Attention: Towards High-quality Pixel-wise Regression", https://arxiv.org/abs/2107.00782. Official:
https://github.com/DeLightCMU/PSA (Apache-2.0).
"""

from typing import Any

from mmseg.models.backbones import hrnet
from mmseg.models.backbones.resnet import BasicBlock
from torch import nn

from denseformer.checkpoints.keys import RenamesKeys, Rule
from denseformer.registry import MODELS

NAMES: tuple[Rule, ...] = (
    (r'^(stage\d\..*)\.deattn\.', r'\1.conv2.0.'),
    (r'^(stage\d\..*\.branches\..*\.conv2)\.weight$', r'\1.1.weight'),
)
"""Rules from the authors' names, and those of weights without a plugin, to ours."""


@MODELS.register_module()
class HRNet(RenamesKeys, hrnet.HRNet):
    """Four maps at strides 4 to 32: (B, 3, H, W) -> `width`, 2, 4 and 8 `width` channels.

    Args:
        width: 18, 32 or 48 in the paper.
        plugin: settings of a module that takes `in_channels`, before the second convolution of each basic block.
        options: mmsegmentation's, except `extra`.
    """

    def __init__(self, *, width: int = 48, plugin: dict | None = None, **options: Any):
        widths = [width << i for i in range(4)]
        extra = {'stage1': dict(num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(4,), num_channels=(64,))}
        for branches, modules in ((2, 1), (3, 4), (4, 3)):
            extra[f'stage{branches}'] = dict(
                num_modules=modules,
                num_branches=branches,
                block='BASIC',
                num_blocks=(4,) * branches,
                num_channels=widths[:branches],
            )
        super().__init__(extra, **options)
        if plugin is None:
            return
        self.names = NAMES  # type: ignore[misc]
        for block in self.modules():
            if isinstance(block, BasicBlock):
                block.conv2 = nn.Sequential(
                    MODELS.build(dict(plugin, in_channels=block.conv2.in_channels)), block.conv2
                )
