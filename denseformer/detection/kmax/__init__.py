"""kMaX-DeepLab: queries as centers of clusters of pixels, https://arxiv.org/abs/2207.04044.

`network` is the pixel decoder and the decoder, `losses` the matching and the losses, `fusion` the inference, `heads`
what mmdetection and mmsegmentation build, and `keys` takes the authors' weights.
"""

from denseformer.detection.kmax.fusion import KMaXFusion
from denseformer.detection.kmax.heads import KMaXDeepLab, KMaXHead, KMaXSegmentor, KMaXSemanticHead

__all__ = ['KMaXDeepLab', 'KMaXFusion', 'KMaXHead', 'KMaXSegmentor', 'KMaXSemanticHead']
