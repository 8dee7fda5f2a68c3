"""The Haar transform: its filters, and that its inverse undoes it."""

import torch
import torch.nn.functional as F

from denseformer.attention.haar import haar, inverse_haar

LOW, HIGH = torch.tensor([1.0, 1.0]) / 2**0.5, torch.tensor([1.0, -1.0]) / 2**0.5


def test_bands_are_those_of_the_filters():
    x = torch.randn(2, 3, 6, 8)
    filters = torch.stack([torch.outer(rows, columns) for rows in (LOW, HIGH) for columns in (LOW, HIGH)])
    filters = filters[[0, 2, 1, 3]]  # low, high along the rows' axis, along the columns', both
    expected = F.conv2d(x, filters[:, None].repeat(3, 1, 1, 1), stride=2, groups=3)
    torch.testing.assert_close(haar(x), expected)


def test_the_inverse_gives_back_the_map_and_lengths_are_kept():
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    torch.testing.assert_close(inverse_haar(haar(x)), x)
    torch.testing.assert_close(haar(x).square().sum(), x.square().sum())
