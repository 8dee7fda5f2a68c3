"""Biases are cached while predicting, and made again when they must be."""

import copy
import pickle

import torch

from denseformer.attention.windows import position_bias
from denseformer.layers import RelativePositionBias


def fresh(module: RelativePositionBias) -> torch.Tensor:
    return position_bias(module.table, module.window).detach()


def test_is_built_once_and_stays_out_of_the_state_dict():
    module = RelativePositionBias((3, 2), 4).eval()
    with torch.no_grad():
        first = module(torch.float32)
        assert module(torch.float32) is first
        assert module(torch.bfloat16).dtype == torch.bfloat16
    assert list(module.state_dict()) == ['table']
    torch.testing.assert_close(first, fresh(module))


def test_follows_every_way_of_changing_the_weights():
    module = RelativePositionBias((3, 3), 2).eval()
    other = RelativePositionBias((3, 3), 2)
    with torch.no_grad():
        module(torch.float32)
        module.table.add_(1)
        torch.testing.assert_close(module(torch.float32), fresh(module))
        module.load_state_dict(other.state_dict())
        torch.testing.assert_close(module(torch.float32), fresh(other))
        module.table = torch.nn.Parameter(torch.ones_like(module.table))
        torch.testing.assert_close(module(torch.float32), fresh(module))
        module.table.data.copy_(other.table)  # as averaging hooks swap weights, before they switch to evaluation
        module.eval()
        torch.testing.assert_close(module(torch.float32), fresh(other))


def test_gradients_reach_the_table_after_a_prediction():
    module = RelativePositionBias((2, 2), 1).eval()
    with torch.no_grad():
        module(torch.float32)
    module(torch.float32).sum().backward()
    assert module.table.grad is not None


def test_inference_mode_and_training_do_not_mix():
    module = RelativePositionBias((2, 2), 1).eval()
    with torch.inference_mode():
        module(torch.float32)
    with torch.no_grad():
        assert torch.isfinite(module(torch.float32)).all()
    module.train()
    module(torch.float32).sum().backward()


def test_is_copied_and_pickled_without_its_cache():
    module = RelativePositionBias((2, 2), 1).eval()
    with torch.no_grad():
        module(torch.float32)
    for again in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert again._cached is None
        assert torch.equal(again.table, module.table)
