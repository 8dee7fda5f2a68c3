"""A linear layer whose predictions on a processor take the faster matrix product."""

from torch import Tensor, nn

from denseformer.attention.projection import project


class Linear(nn.Linear):
    """nn.Linear by `project`: (..., C) -> (..., C')."""

    def forward(self, x: Tensor) -> Tensor:
        return project(x, self.weight, self.bias)
