"""Tests run on one thread per process, so that results do not depend on the machine's core count."""

import torch

torch.set_num_threads(1)
