"""The sample set: pictures and labels for all three tasks, drawn by code at first use.

Pieces of five shapes lie scattered over grounds of three materials, in raking light, hiding one another; twigs and
splinters lie between them. Grounds prefer some colors and things some patterns, and neither keep to them: what a pixel
belongs to can only be told from the shape and the relief around it.
"""

from denseformer.datasets.sample.classes import CLASSES, IGNORED, PALETTE, STUFF_CLASSES, THING_CLASSES
from denseformer.datasets.sample.scene import Scene, draw_scene
from denseformer.datasets.sample.store import ensure_sample_set

__all__ = [
    'CLASSES',
    'IGNORED',
    'PALETTE',
    'STUFF_CLASSES',
    'THING_CLASSES',
    'Scene',
    'draw_scene',
    'ensure_sample_set',
]
