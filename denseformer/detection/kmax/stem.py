"""The ResNet that kMaX-DeepLab reads on Cityscapes, https://arxiv.org/abs/2207.04044, with the map of its stem."""

from mmdet.models.backbones import ResNet
from torch import Tensor

from denseformer.registry import MODELS


@MODELS.register_module()
class KMaXResNet(ResNet):
    """mmdetection's `ResNet`, with the map of its stem behind that of the first stage: strides 4, 4, 8, 16, 32.

    The official decoder sorts maps by stride, and finds the stem's, of the same stride, before the first stage's.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        stem = x = self.maxpool(self.relu(self.norm1(self.conv1(x))))
        maps = []
        for name in self.res_layers:
            x = getattr(self, name)(x)
            maps.append(x)
        return (maps[0], stem, *maps[1:])
