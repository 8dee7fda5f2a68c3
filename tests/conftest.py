"""Tests run on one thread per process, so that results do not depend on the machine's core count."""

import os

from denseformer.threads import set_variables

set_variables(os.environ, 1, passive=False)  # of this process, before PyTorch is loaded, and of all that tests start

import torch  # noqa: E402

torch.set_num_threads(1)
