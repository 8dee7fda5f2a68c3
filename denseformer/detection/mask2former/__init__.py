"""Mask2Former: one head for semantic, instance and panoptic segmentation, https://arxiv.org/abs/2112.01527.

`model` holds the heads and models, `points` the matching and the sampling of its losses, `fusion` its inference, and
`keys` takes the weights that its authors published.
"""

from denseformer.detection.mask2former.fusion import MaskFusion
from denseformer.detection.mask2former.model import (
    Mask2Former,
    Mask2FormerHead,
    Mask2FormerSegmentor,
    Mask2FormerSemanticHead,
)

__all__ = ['Mask2Former', 'Mask2FormerHead', 'Mask2FormerSegmentor', 'Mask2FormerSemanticHead', 'MaskFusion']
