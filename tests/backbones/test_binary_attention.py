"""BinaryAttention: the authors' numbers, gradients past what is rounded, and DeiT without it."""

import refkit
import torch
from torch import nn

from denseformer.attention.binary import binary_attention, one_bit, quantize_values, quantize_weights, signs
from denseformer.backbones import BinaryAttention, ViT

NAME = 'binary_attention/tiny_64_d3'
THREE_BLOCKS = dict(width=192, blocks=3, heads=3)


def test_agrees_with_the_authors_code():
    network = BinaryAttention(arch=THREE_BLOCKS, image_size=64, out_indices=(0, 2))
    norm = nn.LayerNorm(192, 1e-6)
    norm.load_state_dict(
        {part: refkit.fill_state_dict({f'norm.{part}': [192]})[f'norm.{part}'] for part in ('weight', 'bias')}
    )

    def forward(network: BinaryAttention, image: torch.Tensor) -> list[torch.Tensor]:
        first, last = network(image)
        return [first, last, norm(last.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)]

    assert refkit.check(network, NAME, forward) < 1e-4


def test_without_one_bit_it_is_deit():
    arch = dict(width=24, blocks=2, heads=2)
    deit, network = ViT(arch=arch, antialias=False).eval(), BinaryAttention(arch=arch, attn_quant=False).eval()
    network.load_state_dict(deit.state_dict())
    image = torch.randn(1, 3, 48, 64)
    for a, b in zip(network(image), deit(image), strict=True):
        torch.testing.assert_close(a, b)


def test_signs_of_a_head_have_one_magnitude():
    x = torch.randn(2, 3, 5, 4)
    assert torch.equal(signs(torch.tensor([-2.0, 0.0, 0.5])), torch.tensor([-1.0, 1.0, 1.0]))
    assert all(len(head.abs().unique()) == 1 for image in one_bit(x) for head in image)


def test_weights_have_255_steps_and_values_127_per_channel():
    weights = torch.tensor([0.0, 0.4, 0.6, 255.0]) / 255
    torch.testing.assert_close(quantize_weights(weights) * 255, torch.tensor([0.0, 0.0, 1.0, 255.0]))
    values = torch.randn(1, 1, 1000, 3)
    steps = quantize_values(values) / values.abs().amax(2, keepdim=True) * 127
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)


def test_gradients_pass_what_is_rounded():
    q, k, v = (torch.randn(1, 2, 6, 4, requires_grad=True) for _ in range(3))
    binary_attention(q, k, v).square().sum().backward()
    assert all(x.grad.abs().sum() > 0 for x in (q, k, v))
    x = torch.tensor([-1.5, 0.5], requires_grad=True)
    signs(x).sum().backward()
    assert x.grad.tolist() == [0, 1]
