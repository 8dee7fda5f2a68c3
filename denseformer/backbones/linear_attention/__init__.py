"""Backbones whose attention costs linearly in the number of tokens: kernels of features, agents, no softmax."""
