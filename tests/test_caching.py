"""What modules keep while predicting."""

import torch
from torch import Tensor, nn

from denseformer.caching import CachesInEval


class Products(CachesInEval):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 8))

    def forward(self) -> Tensor:
        return self.cached((), lambda: self.weight @ self.weight)


@torch.no_grad()
def test_what_was_made_under_autocast_serves_no_other_precision():
    module = Products().eval()
    with torch.autocast('cpu', torch.bfloat16):
        assert module().dtype is torch.bfloat16
        assert module() is module()
    assert module().dtype is torch.float32
