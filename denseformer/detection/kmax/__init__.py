"""kMaX-DeepLab: queries as centers of clusters of pixels, https://arxiv.org/abs/2207.04044.

`network` is the pixel decoder and the decoder, `losses` the matching and the losses, `fusion` the inference, `heads`
what mmdetection and mmsegmentation build, `stem` a backbone, and `keys` takes the authors' weights.
"""

from denseformer.detection.kmax.fusion import KMaXFusion
from denseformer.detection.kmax.heads import KMaXDeepLab, KMaXHead, KMaXSegmentor, KMaXSemanticHead
from denseformer.detection.kmax.stem import KMaXResNet

__all__ = ['KMaXDeepLab', 'KMaXFusion', 'KMaXHead', 'KMaXResNet', 'KMaXSegmentor', 'KMaXSemanticHead']
