"""GiT: boxes, outlines and label maps as sequences of words, https://arxiv.org/abs/2403.09394.

`network` is the transformer that sequences pass through, `vocabulary` the words, `targets` what it is taught to say,
and `heads` the three tasks and the models around them.
"""

from denseformer.detection.git.heads import GiTDetectionHead, GiTDetector, GiTSegmentor, GiTSemanticHead
from denseformer.detection.git.network import GiT

__all__ = ['GiT', 'GiTDetectionHead', 'GiTDetector', 'GiTSegmentor', 'GiTSemanticHead']
