"""FashionFormer: queries for pieces of clothing and for what they are like, https://arxiv.org/abs/2204.04654.

`network` is the proposals and the stages, `losses` the matching and the losses, `heads` what mmdetection builds.
"""

from denseformer.detection.fashionformer.heads import FashionFormer, FashionFormerHead

__all__ = ['FashionFormer', 'FashionFormerHead']
