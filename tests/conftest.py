"""Tests run on one thread per process, so that results do not depend on the machine's core count."""

import os

from denseformer.threads import set_variables

set_variables(os.environ, 1, passive=False)  # of this process, before PyTorch is loaded, and of all that tests start

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture
def short_hash_learning(monkeypatch):
    """EcoFormer learns its hash functions in its first step, for seconds, which only tests of their codes need."""
    monkeypatch.setattr('denseformer.attention.hashing.STEPS', 2)
