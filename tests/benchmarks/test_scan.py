"""The loops that the scans are measured beside compute the same."""

import pytest
import torch

from benchmarks.scan import duality, duality_loop, loop, random_inputs
from denseformer.attention.selective_scan import selective_scan


@pytest.mark.parametrize(
    ('scan', 'peer', 'shape'),
    [(selective_scan, loop, (8, 2, 3)), (duality, duality_loop, (128, 1, 4))],
    ids=['selective scan', 'state-space duality'],
)
def test_a_loop_over_the_positions_has_the_same_outputs(scan, peer, shape):
    torch.manual_seed(0)
    inputs = random_inputs(70, *shape)
    torch.testing.assert_close(scan(*inputs), peer(*inputs), rtol=1e-4, atol=1e-4)
