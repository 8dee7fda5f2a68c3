"""Tests run on one thread per process, so that results do not depend on the machine's core count.

What takes time and is not what is tested is kept from them: the collection of garbage that mmengine asks for with each
dataset, the layout of the configs that it writes, half a dozen times for each run, reading the shipped bases of configs
again, and counting lines in forks, whose counts are lost.
"""

import ast
import copy
import os
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from denseformer.threads import set_variables

set_variables(os.environ, 1, passive=False)  # of this process, before PyTorch is loaded, and of all that tests start

import pytest  # noqa: E402
import torch  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.dataset import base_dataset  # noqa: E402
from yapf.yapflib import yapf_api  # noqa: E402

torch.set_num_threads(1)
os.register_at_fork(after_in_child=lambda: sys.settrace(None))
base_dataset.gc = SimpleNamespace(collect=lambda: None)
lay_out = yapf_api.FormatCode

BASES = str(Path(__file__).parents[1] / 'configs/_base_') + os.sep
read = Config._file2dict
read_once = cache(read)


def checked_alone(text: str, **style: dict) -> tuple[str, bool]:
    """A config's text as it is; SyntaxError for one that is no Python, as yapf raises it."""
    ast.parse(text)
    return f'{text}\n', True


def read_bases_once(filename: str, *settings: bool | None, **named: bool | None) -> tuple:
    """Read a config's file as mmengine does; of a base that ships, copy what was read before."""
    path = os.path.abspath(filename)
    return (
        copy.deepcopy(read_once(path, *settings, **named))
        if path.startswith(BASES)
        else read(filename, *settings, **named)
    )


Config._file2dict = staticmethod(read_bases_once)
yapf_api.FormatCode = checked_alone


@pytest.fixture
def configs_laid_out(monkeypatch):
    """Configs are written as users get them, laid out by yapf."""
    monkeypatch.setattr(yapf_api, 'FormatCode', lay_out)


@pytest.fixture
def short_hash_learning(monkeypatch):
    """EcoFormer learns its hash functions in its first step, for seconds, which only tests of their codes need."""
    monkeypatch.setattr('denseformer.attention.hashing.STEPS', 2)
