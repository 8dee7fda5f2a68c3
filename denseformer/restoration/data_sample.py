"""The data sample of restoration: an image's target, its mask, and the network's result."""

from mmengine.structures import BaseDataElement
from torch import Tensor


class RestorationSample(BaseDataElement):
    """Data that belong to one input image, each field set only where it is known.

    gt_img: the target, (C, H, W), floating in [0, 1] or unsigned integers of full range; pred_img: the restored image,
    (C, H, W), floating, neither clipped nor rounded. Its metainfo names the files: img_path, gt_path.
    """

    gt_img: Tensor
    pred_img: Tensor
    mask: Tensor
