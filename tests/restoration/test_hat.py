"""HAT: the published variants, and overlapping windows and their offsets."""

import pytest
import torch

from denseformer.attention.overlapping import overlap_position_index, overlapping_windows
from denseformer.restoration.networks import HAT

PARAMETERS = [
    ('small', 2, 9.473e6),
    ('small', 3, 9.658e6),
    ('small', 4, 9.621e6),
    ('base', 2, 20.625e6),
    ('base', 3, 20.809e6),
    ('base', 4, 20.773e6),
    ('large', 2, 40.699e6),
    ('large', 3, 40.884e6),
    ('large', 4, 40.847e6),
]


@pytest.mark.parametrize(('arch', 'scale', 'parameters'), PARAMETERS)
def test_parameters(arch, scale, parameters):
    assert HAT.describe(arch, scale=scale).parameters == pytest.approx(parameters, abs=6e2)


def test_overlapping_windows_are_zero_outside_the_map():
    x = torch.rand(2, 8, 12, 3)
    windows = overlapping_windows(x, 4, 2).view(2, 2, 3, 6, 6, 3)
    assert torch.equal(windows[1, 0, 1, 1:], x[1, :5, 3:9])
    assert (windows[:, 0, :, 0] == 0).all()
    assert torch.equal(windows[0, 1, 2, :5, :5], x[0, 3:8, 7:12])


def test_overlapping_positions_wrap_around_the_table():
    """The first query and the first key: both offsets -7, numbered -7 * 39 - 7 from the end of 1521 rows."""
    index = overlap_position_index(16, 8)
    assert index.shape == (256, 576)
    assert index[0, 0] == 1521 - 7 * 40
    assert (index[-1, 0] - 1521, index[0, -1]) == (-880, 640)
    assert index.min() >= 0
    assert index.max() < 1521
