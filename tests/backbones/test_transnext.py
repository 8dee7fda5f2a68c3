"""TransNeXt: its position biases and its two-part softmax."""

import pytest
import torch
import torch.nn.functional as F

from denseformer.attention.foveal import attention_with_rest, foveal_attention
from denseformer.attention.neighbors_3x3 import inside_map, shifts_3x3
from denseformer.backbones import TransNeXt
from denseformer.backbones.global_attention.transnext import ContinuousPositionBias

PARAMETERS = {'micro': 12_424_304, 'tiny': 27_681_960, 'small': 49_164_564, 'base': 88_952_496}


@pytest.mark.parametrize('arch', PARAMETERS)
def test_variants_have_the_published_parameters(arch):
    assert TransNeXt.describe(arch).parameters == PARAMETERS[arch]


def test_made_for_its_size_or_extrapolated_to_it_the_biases_are_the_same():
    trained, extrapolating = (
        TransNeXt(arch='micro', image_size=96).eval(),
        TransNeXt(arch='micro', extrapolate=True).eval(),
    )
    extrapolating.load_state_dict(trained.state_dict())
    for side, same in ((96, True), (128, False)):
        image = torch.randn(1, 3, side, side)
        with torch.no_grad():
            close = torch.allclose(trained(image)[0], extrapolating(image)[0], atol=1e-5)
        assert close is same


@pytest.mark.parametrize(('size', 'pooled'), [((3, 7), (1, 2)), ((20, 8), (4, 2)), ((12, 8), (3, 2))])
def test_biases_of_other_sizes_are_those_of_the_trained_one_resized(size, pooled):
    cpb = ContinuousPositionBias(2, pretrained=56, trained=(12, 3)).double()
    own = cpb((12, 12), (3, 3)).unflatten(1, (12, 12)).unflatten(3, (3, 3))  # (h, 12, 12, 3, 3)
    for_keys = F.interpolate(own.flatten(1, 2), pooled, mode='bilinear').flatten(2).mT.unflatten(2, (12, 12))
    expected = F.interpolate(for_keys, size, mode='bilinear').flatten(2).mT  # (h, N, P)
    torch.testing.assert_close(cpb(size, pooled), expected)


@pytest.mark.parametrize('size', [384, 512])
def test_a_checkpoint_of_another_image_size_loads_as_it_is(size):
    """Only numbers that follow from the size are made for it, none that is learned."""
    trained, wider = (TransNeXt.on_meta_device(arch='micro', image_size=side) for side in (224, size))
    shapes, others = ({key: value.shape for key, value in net.state_dict().items()} for net in (trained, wider))
    assert shapes == others


def test_a_tiny_image_size_is_refused():
    with pytest.raises(ValueError, match='at least 32'):
        TransNeXt(image_size=16)


def test_neighbors_and_pooled_keys_share_one_softmax():
    q, k, v = torch.randn(3, 1, 3, 4, 2, 8).unbind()
    pooled_k, pooled_v = torch.randn(2, 1, 5, 2, 8).unbind()
    local_bias, pool_bias = torch.randn(2, 9), torch.randn(2, 12, 5)
    out = foveal_attention(q, k, v, (pooled_k, pooled_v), local_bias, pool_bias, torch.zeros(1, 3, 4, 2, 9))
    y, x, head = 0, 2, 1
    inside = inside_map(3, 4, q.device)[y, x]
    near = torch.stack([near[0, y, x, head] for near in shifts_3x3(k)]) @ q[0, y, x, head] + local_bias[head]
    far = pooled_k[0, :, head] @ q[0, y, x, head] + pool_bias[head, y * 4 + x]
    weights = torch.cat([near[inside], far]).softmax(0)
    values = torch.cat([torch.stack([near[0, y, x, head] for near in shifts_3x3(v)])[inside], pooled_v[0, :, head]])
    torch.testing.assert_close(out[0, y, x, head], weights @ values)


def test_the_rest_of_a_softmax_takes_its_share():
    q, k, v = torch.zeros(1, 1, 1, 8), torch.zeros(1, 1, 3, 8), torch.ones(1, 1, 3, 8)
    out, share = attention_with_rest(q, k, v, torch.zeros(1, 1, 1, 3), torch.zeros(1, 1, 1, 1))
    torch.testing.assert_close(share.squeeze(), torch.tensor(0.25))
    torch.testing.assert_close(out, torch.full_like(out, 0.75))
