import math

import pytest
import torch

from denseformer.attention.wavelets import dual_tree, inverse_dual_tree


@pytest.mark.parametrize('size', [(10, 12), (2, 30), (56, 4)])
def test_the_inverse_gives_the_map_back(size):
    x = torch.randn(2, 3, *size, dtype=torch.double)
    low, real, imaginary = dual_tree(x)
    assert low.shape == x.shape
    assert real.shape == imaginary.shape == (2, 3, 6, size[0] // 2, size[1] // 2)
    torch.testing.assert_close(inverse_dual_tree(low, real, imaginary), x, rtol=0, atol=1e-9)


def test_a_constant_map_has_low_frequencies_alone():
    low, real, imaginary = dual_tree(torch.full((1, 1, 8, 6), 3.0, dtype=torch.double))
    torch.testing.assert_close(low, torch.full_like(low, 3.0), rtol=0, atol=1e-6)
    torch.testing.assert_close(torch.stack([real, imaginary]), torch.zeros(2, *real.shape).double(), rtol=0, atol=1e-6)


def test_the_two_diagonals_fall_into_bands_of_their_own():
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing='ij')
    strongest = []
    for wave in (y + x, y - x):
        _, real, imaginary = dual_tree((wave * math.pi * 0.75).cos()[None, None])
        energy = (real.square() + imaginary.square())[0, 0, :, 4:-4, 4:-4].sum((1, 2))
        strongest.append(int(energy.argmax()))
    assert sorted(strongest) == [4, 5]
