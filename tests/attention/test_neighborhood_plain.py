"""Neighborhood attention by gathering is neighborhood attention, also on maps that are padded for their keys."""

import pytest
import torch

from denseformer.attention.neighborhood import unchecked_attention
from denseformer.attention.neighborhood.plain import gathered_attention


@pytest.mark.parametrize('with_bias', [True, False])
@pytest.mark.parametrize(
    ('size', 'padded', 'dilation'),
    [
        ((9, 12), (9, 12), 1),
        ((15, 16), (15, 16), 2),
        ((23, 22), (23, 22), 3),
        ((5, 9), (7, 9), 1),
        ((5, 9), (6, 10), 3),
    ],
)
def test_agrees_with_the_operator(size, padded, dilation, with_bias):
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, *size, 3, 8, generator=generator)
    k, v = torch.randn(2, 2, *padded, 3, 8, generator=generator)
    bias = torch.randn(3, 13, 13, generator=generator) if with_bias else None
    arguments = (q, k, v, bias, 7, (dilation, dilation), 0.3)
    torch.testing.assert_close(gathered_attention(*arguments), unchecked_attention(*arguments), rtol=1e-5, atol=1e-5)
