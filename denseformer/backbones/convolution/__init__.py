"""Backbones that mix tokens by convolution, pooling or modulation, at a convolution's cost."""
