"""SAM's decoder, https://arxiv.org/abs/2304.02643, and USIS-SAM, which prompts it region by region.

`decoder` makes masks of prompts, `promptable` is the whole of SAM, `usis` the detector, and `keys` takes the authors'
weights.
"""

from denseformer.detection.sam.promptable import PromptableSAM
from denseformer.detection.sam.usis import USISSAM, PromptedMaskHead, PromptedRoIHead, USISNeck

__all__ = ['USISSAM', 'PromptableSAM', 'PromptedMaskHead', 'PromptedRoIHead', 'USISNeck']
