"""Linear layers, and those that stand for convolutions."""

from denseformer.kernels.linear import Linear

__all__ = ['Linear', 'Pointwise']


class Pointwise(Linear):
    """A 1 x 1 convolution on a channel-last map, and one to the rules of initial weights: (..., C) -> (..., C')."""
