"""Networks of cloned repositories: what their files may import, and what is left of them afterwards."""

import sys

import pytest
from torch import nn

from benchmarks import authors
from benchmarks.authors import Authors, is_cloned
from benchmarks.harness import AbsentError

NETWORK = """
from torch import nn
from timm.models.layers import SqueezeExcite, to_2tuple
from mmdet.models.builder import BACKBONES
from whatever_beside import WIDTH
from .whatever_parts import act
from ..builder import whatever


@BACKBONES.register_module()
class Net(nn.Sequential):
    def __init__(self, side):
        super().__init__(nn.Conv2d(3, WIDTH, to_2tuple(side)), act(), SqueezeExcite(WIDTH, 0.25))
"""


@pytest.fixture
def clones(tmp_path, monkeypatch):
    monkeypatch.setattr(authors, 'PEERS', str(tmp_path))
    folder = tmp_path / 'Light-Net/whatever_package/networks'
    folder.mkdir(parents=True)
    (folder / 'net.py').write_text(NETWORK)
    (folder / 'whatever_beside.py').write_text('WIDTH = 16')
    (folder / 'whatever_parts.py').write_text('from torch.nn import GELU as act')
    (folder.parent / 'builder.py').write_text('whatever = None')
    (folder / 'needy.py').write_text('import whatever_is_not_installed')
    return tmp_path


def test_a_file_of_a_clone_imports_what_stands_around_it_and_leaves_nothing_behind(clones):
    file = 'Light-Net/whatever_package/networks/net.py'
    paths, modules = list(sys.path), set(sys.modules)
    assert is_cloned(file)
    network = Authors(file, 'Net', {'side': 3}).build()
    assert isinstance(network[1], nn.GELU)
    assert network[2].fc1.weight.shape == (8, 16)
    assert sys.path == paths
    assert not [name for name in set(sys.modules) - modules if 'whatever' in name or name.startswith('timm')]


def test_a_file_that_needs_what_is_not_installed_says_so(clones):
    with pytest.raises(AbsentError, match=r"needy\.py: No module named 'whatever_is_not_installed'"):
        Authors('Light-Net/whatever_package/networks/needy.py', 'Net').build()


def test_what_is_not_cloned_is_known_not_to_be(clones, monkeypatch):
    assert not is_cloned('Light-Net/other.py')
    monkeypatch.setattr(authors, 'PEERS', None)
    assert not is_cloned('Light-Net/whatever_package/networks/net.py')
