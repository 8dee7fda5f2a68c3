"""The perceptual loss: the distance of two images in the features of VGG19, trained on ImageNet.

The user brings its weights as a file; nothing is downloaded. They are constants: neither trained, nor averaged, nor
written into checkpoints.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from denseformer.checkpoints.files import read_weights
from denseformer.registry import MODELS

STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and 3 x 3 convolutions of VGG19's stages; between two lies a 2 x 2 maximum."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LAYERS = {'conv1_2': 0.1, 'conv2_2': 0.1, 'conv3_4': 1.0, 'conv4_4': 1.0, 'conv5_4': 1.0}


@MODELS.register_module()
class PerceptualLoss(BaseModule):
    """The weighted sum of mean absolute differences of VGG19's features, before their ReLU.

    Args:
        weights: file of VGG19 in torchvision's layout ('features.0.weight' ...), .pth or .safetensors; read when
            training starts.
        layers: {'conv<stage>_<number>': weight}, both counted from 1.
        weight: what the loss is multiplied by.

    Takes RGB images (B, 3, H, W) in [0, 1], at least 16 x 16; returns a scalar.
    """

    def __init__(self, *, weights: str, layers: Mapping[str, float] | None = None, weight: float = 1.0):
        super().__init__()
        self.weights = weights
        self.weight = weight
        self.layers = dict(LAYERS if layers is None else layers)
        self.names = [f'conv{s}_{i + 1}' for s, (_, depth) in enumerate(STAGES, 1) for i in range(depth)]
        unknown = sorted(set(self.layers) - set(self.names))
        if unknown or not self.layers:
            raise ValueError(f'VGG19 has the layers {", ".join(self.names)}; got {unknown or "none"}.')
        self.names = self.names[: 1 + max(self.names.index(layer) for layer in self.layers)]
        channels = 3
        for name in self.names:
            out = STAGES[int(name[4]) - 1][0]
            self.register_buffer(f'{name}_weight', torch.zeros(out, channels, 3, 3), persistent=False)
            self.register_buffer(f'{name}_bias', torch.zeros(out), persistent=False)
            channels = out
        self.register_buffer('mean', torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(STD).view(3, 1, 1), persistent=False)
        self.loaded = False

    def init_weights(self) -> None:
        """Read VGG19's weights; raises ValueError for a file that is missing or holds something else."""
        weights = read_weights(self.weights)
        for name, position in zip(self.names, positions(), strict=False):
            for kind in ('weight', 'bias'):
                value, buffer = weights.get(f'features.{position}.{kind}'), getattr(self, f'{name}_{kind}')
                if value is None or value.shape != buffer.shape:
                    raise ValueError(
                        f"{self.weights}: no 'features.{position}.{kind}' of shape {tuple(buffer.shape)}; give VGG19 "
                        "in torchvision's layout."
                    )
                buffer.copy_(value)
        self.loaded = True
        self._is_init = True

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        if not self.loaded:
            raise ValueError("The perceptual network's weights are read by init_weights(), which was not called.")
        with torch.no_grad():
            wanted = self.features(target)
        found = self.features(restored)
        return self.weight * sum(weight * F.l1_loss(found[name], wanted[name]) for name, weight in self.layers.items())

    def features(self, image: Tensor) -> dict[str, Tensor]:
        """The maps of the chosen layers, before their ReLU."""
        maps, x = {}, (image - self.mean) / self.std
        for i, name in enumerate(self.names):
            if i and name.endswith('_1'):
                x = F.max_pool2d(x, 2)
            x = F.conv2d(x, getattr(self, f'{name}_weight'), getattr(self, f'{name}_bias'), padding=1)
            if name in self.layers:
                maps[name] = x
            x = F.relu(x)
        return maps


def positions() -> list[int]:
    """Indices of VGG19's convolutions in torchvision's `features`: a ReLU follows each, a pool each stage."""
    found, position = [], 0
    for _, depth in STAGES:
        found += [position + 2 * i for i in range(depth)]
        position += 2 * depth + 1
    return found
