"""LPIPS, a learned distance between images, by its authors' package `lpips`, which is not among the requirements.

"The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", https://arxiv.org/abs/1801.03924. The package
holds what was learned; the features are those of AlexNet or VGG16, whose weights are yours to bring, as a file.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from torch import nn

from denseformer.checkpoints.files import read_weights
from denseformer.registry import METRICS
from denseformer.restoration.metrics.image_quality import PEAK, to_byte_range


@METRICS.register_module()
class LPIPS(BaseMetric):
    """The mean over a dataset of the distance of each restored image from its target; 0 for equal ones.

    RGB images are rounded to 8 bits and compared on [-1, 1].

    Args:
        weights: file of the network in torchvision's layout ('features.0.weight' ...), .pth or .safetensors.
        net: 'alex', in which figures are reported, or 'vgg'.
        crop_border: rows and columns that are left out at each border.
        collect_device, prefix: mmengine's.
    """

    def __init__(
        self,
        *,
        weights: str,
        net: str = 'alex',
        crop_border: int = 0,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(collect_device, prefix)
        self.crop_border = crop_border
        self.distance = build_distance(net, weights)

    @torch.inference_mode()
    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        for sample in data_samples:
            pair = torch.stack([to_byte_range(sample[name], True).float().cpu() for name in ('pred_img', 'gt_img')])
            end = -self.crop_border or None
            restored, target = (pair[..., self.crop_border : end, self.crop_border : end] * 2 / PEAK - 1).split(1)
            self.results.append(float(self.distance(restored, target)))

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {'LPIPS': sum(results) / len(results)}


def build_distance(net: str, path: str) -> nn.Module:
    """The package's network with the features of the file `path`; nothing is downloaded."""
    if net not in ('alex', 'vgg'):
        raise ValueError(f"net is 'alex' or 'vgg', not '{net}'.")
    try:
        import lpips
    except ImportError as error:
        raise ValueError(f'LPIPS needs the packages lpips and torchvision: pip install lpips. ({error})') from error
    distance = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    given = read_weights(path)
    own = distance.net.state_dict()
    features = {name: given.get(f'features.{name.partition(".")[2]}') for name in own}  # from 'slice1.0.weight'
    wrong = [name for name, value in features.items() if value is None or value.shape != own[name].shape]
    if wrong:
        kind = {'alex': 'AlexNet', 'vgg': 'VGG16'}[net]
        raise ValueError(
            f"{path}: {len(wrong)} of {len(own)} tensors are missing; give {kind} in torchvision's layout."
        )
    distance.net.load_state_dict(features)
    return distance.eval()
