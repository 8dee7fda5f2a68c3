"""Tests run on one thread per process, so that results do not depend on the machine's core count."""

import torch

import denseformer  # noqa: F401 (before a test imports mmcv, for whose operators it answers)

torch.set_num_threads(1)
