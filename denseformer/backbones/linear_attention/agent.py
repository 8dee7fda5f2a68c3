"""Agent-Swin and Agent-PVT: agent attention in the layouts of the Swin and the Pyramid Vision Transformer.

Paper: "Agent Attention: On the Integration of Softmax and Linear Attention", https://arxiv.org/abs/2312.08874.
Official code: https://github.com/LeapLabTHU/Agent-Attention (no licence of its own; the parts on mmsegmentation and
mmdetection Apache-2.0).

A grid of agents, queries averaged over parts of the map, collects from all tokens; then all tokens ask the agents.
Both steps have position biases, learned for the grid of agents and the image size of pre-training and interpolated
bilinearly to those in use, and a depth-wise convolution of the values is added. In Agent-Swin the later blocks are
Swin's. Dense models use more agents than ImageNet's; no parameter depends on their number.

The authors' Agent-PVT uses its positions as they are whenever a map has as many tokens as the first one had in
pre-training, whatever its shape: an error at sizes such as 448 x 448. Here positions are always interpolated.

Legend: B batch, H W map, C channels, h heads, d head width, N tokens, A agents in use, a agents of pre-training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.attention.agent import agent_attention
from denseformer.attention.windows import Size
from denseformer.backbones.base import BackboneOptions
from denseformer.backbones.global_attention import pvt
from denseformer.backbones.windows import swin
from denseformer.caching import cached_constant
from denseformer.checkpoints.keys import StateDict, rename
from denseformer.layers import DepthwiseConv, Linear, average_to_grid
from denseformer.network import Source
from denseformer.registry import MODELS

SOURCE = Source(
    paper='Agent Attention: On the Integration of Softmax and Linear Attention, https://arxiv.org/abs/2312.08874',
    code='https://github.com/LeapLabTHU/Agent-Attention',
    license='none given; its mmsegmentation and mmdetection parts Apache-2.0',
)


class AgentBias(nn.Module):
    """A bias per head between every agent and every position, a coarse table plus one of rows plus one of columns.

    forward(size, agents) -> (h, H * W, A), or (h, A, H * W) with `agents_first`. grid: side of the agents' grid of
    pre-training; side: of the map of pre-training.
    """

    def __init__(self, heads: int, grid: int, side: int, *, agents_first: bool):
        super().__init__()
        self.grid, self.agents_first = grid, agents_first
        self.table = nn.Parameter(torch.empty(heads, grid**2, 7, 7))
        self.rows = nn.Parameter(torch.empty(heads, grid**2, side))
        self.columns = nn.Parameter(torch.empty(heads, grid**2, side))
        for parameter in self.parameters():
            nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, size: Size, agents: Size) -> Tensor:
        table, rows, columns = (self.to_agents(x, agents) for x in (self.table, self.rows, self.columns))
        rows = F.interpolate(rows, size[0], mode='linear')[..., None]  # (h, A, H, 1)
        columns = F.interpolate(columns, size[1], mode='linear')[:, :, None]  # (h, A, 1, W)
        # A large tensor is only made by the last step; until then the table has seven rows.
        coarse = F.interpolate(table, (7, size[1]), mode='bilinear') + columns  # (h, A, 7, W)
        spread = linear_interpolation(7, size[0], table.device).to(table.dtype)  # (H, 7)
        if self.agents_first:
            return (spread @ coarse).add_(rows).flatten(2)
        coarse, rows = coarse.permute(0, 2, 3, 1), rows.permute(0, 2, 3, 1)  # (h, 7, W, A), (h, H, 1, A)
        bias = (spread @ coarse.flatten(2)).unflatten(2, coarse.shape[2:])
        return bias.add_(rows).flatten(1, 2)

    def to_agents(self, x: Tensor, agents: Size) -> Tensor:
        """(h, a, *positions) -> (h, A, *positions)."""
        if agents == (self.grid, self.grid):
            return x
        positions = x.shape[2:]
        x = x.flatten(2).transpose(1, 2).unflatten(2, (self.grid, self.grid))
        x = F.interpolate(x, agents, mode='bilinear')  # (h, positions, *agents)
        return x.flatten(2).transpose(1, 2).unflatten(2, positions)


@cached_constant(64)
def linear_interpolation(source: int, target: int, device: torch.device) -> Tensor:
    """(target, source): the weights by which `F.interpolate` makes `target` values from `source`."""
    return F.interpolate(torch.eye(source, device=device)[None], target, mode='linear')[0].T


class AgentAttention(nn.Module):
    """Agent attention with a depth-wise convolution of the values added: (B, H, W, C) -> the same.

    agents: side of the agents' grid; grid, side: of the agents' grid and of the map that biases are learned for.
    """

    def __init__(self, dim: int, heads: int, *, agents: int, grid: int, side: int):
        super().__init__()
        self.heads = heads
        self.agents: Size = (agents, agents)
        self.qkv = Linear(dim, 3 * dim)
        self.collect_bias = AgentBias(heads, grid, side, agents_first=True)
        self.ask_bias = AgentBias(heads, grid, side, agents_first=False)
        self.dwc = DepthwiseConv(dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[1], x.shape[2]
        q, k, v = self.qkv(x).chunk(3, dim=-1)  # each (B, H, W, C)
        agents = average_to_grid(q.permute(0, 3, 1, 2), self.agents).permute(0, 2, 3, 1)
        out = agent_attention(
            self.split_heads(q),
            self.split_heads(k),
            self.split_heads(v),
            self.split_heads(agents),
            self.collect_bias(size, self.agents),
            self.ask_bias(size, self.agents),
        )
        return self.proj(out.transpose(1, 2).reshape(x.shape) + self.dwc(v))

    def split_heads(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, h, H * W, d)."""
        return x.flatten(1, 2).unflatten(-1, (self.heads, -1)).transpose(1, 2)


def remap_biases(state_dict: StateDict, network: nn.Module) -> StateDict:
    """The authors' biases, a table and its axes for each step, as those of `AgentBias`, at `network`'s size."""
    state_dict = rename(
        state_dict,
        (r'\.an_bias$', '.collect_bias.table'),
        (r'\.ah_bias$', '.collect_bias.rows'),
        (r'\.aw_bias$', '.collect_bias.columns'),
        (r'\.na_bias$', '.ask_bias.table'),
        (r'\.ha_bias$', '.ask_bias.rows'),
        (r'\.wa_bias$', '.ask_bias.columns'),
    )
    own = dict(network.named_parameters())
    for key in [key for key in state_dict if key.endswith(('_bias.rows', '_bias.columns'))]:
        value = state_dict[key]
        if (
            value.ndim == 5
        ):  # (1, h, a, side, 1) or (1, h, a, 1, side); to ask, (1, h, side, 1, a) or (1, h, 1, side, a)
            value = value[0].flatten(1, 2).transpose(1, 2) if '.ask_bias.' in key else value[0].flatten(2)
        if key in own and own[key].shape[2] != value.shape[2]:
            value = F.interpolate(value, own[key].shape[2], mode='linear')
        state_dict[key] = value  # (h, a, side)
    return state_dict


@dataclass(frozen=True, kw_only=True)
class SwinArch(swin.Arch):
    """agent_blocks: how many blocks of each stage, the first ones, have agents; agents: side of their grids."""

    agent_blocks: tuple[int, ...]
    agents: tuple[int, ...] = (9, 12, 14, 7)
    grids: tuple[int, ...] = (3, 4, 7, 7)


@MODELS.register_module()
class AgentSwin(swin.SwinBase):
    """Agent-Swin.

    Args:
        image_size: side of the square images that biases are learned for; Swin's blocks have windows of a 32nd of it,
            7 tokens at least.
        agents: side of the grid of agents per stage; None for those of the published dense models. ImageNet's are
            (3, 4, 7, 7).
        The others are described in `Backbone`.
    """

    source = SOURCE
    no_weight_decay = ('norm', '_bias.', 'bias.table')

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        image_size: int = 224,
        agents: Sequence[int] | None = None,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        self.image_size = image_size
        self.window_size = max(7, image_size // 32)
        self.agents = check_agents(agents or self.arch.agents, len(self.arch.depths))
        self.build(drop_path_rate, [nn.LayerNorm(width) for width in self.arch.widths])

    def make_attention(self, stage: int, index: int) -> nn.Module:
        arch = self.arch
        if index >= arch.agent_blocks[stage]:
            return super().make_attention(stage, index)
        return AgentAttention(
            arch.widths[stage],
            arch.heads[stage],
            agents=self.agents[stage],
            grid=arch.grids[stage],
            side=self.image_size // self.strides[stage],
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'AgentSwin') -> StateDict:
        """From Swin's names, and the authors' biases."""
        return remap_biases(swin.SwinBase.remap_official_keys(state_dict, network), network)


@dataclass(frozen=True, kw_only=True)
class PVTArch(pvt.Arch):
    """agents: side of the grids of agents; grids: those of pre-training."""

    heads: tuple[int, ...] = (1, 2, 5, 8)
    agents: tuple[int, ...] = (12, 16, 28, 28)
    grids: tuple[int, ...] = (3, 4, 7, 7)


@MODELS.register_module()
class AgentPVT(pvt.PVTBase):
    """Agent-PVT.

    Args:
        image_size: side of the square images that positions and biases are learned for.
        agents: side of the grid of agents per stage; None for those of the published dense models. ImageNet's are
            (3, 4, 7, 7).
        The others are described in `Backbone`.
    """

    source = SOURCE

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        image_size: int = 224,
        agents: Sequence[int] | None = None,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        self.agents = check_agents(agents or self.arch.agents, len(self.arch.depths))
        self.build(image_size, drop_path_rate)

    def make_attention(self, stage: int, side: int) -> nn.Module:
        arch = self.arch
        return AgentAttention(
            arch.widths[stage], arch.heads[stage], agents=self.agents[stage], grid=arch.grids[stage], side=side
        )

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'AgentPVT') -> StateDict:
        """From the Pyramid Vision Transformer's names, and the authors' biases."""
        return remap_biases(pvt.PVTBase.remap_official_keys(state_dict, network), network)


def check_agents(agents: Sequence[int], stages: int) -> tuple[int, ...]:
    if len(agents) != stages:
        raise ValueError(f'agents needs {stages} entries, the side of the grid of agents per stage; got {agents}.')
    return tuple(agents)


AgentSwin.archs = {
    'tiny': SwinArch(width=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24), agent_blocks=(2, 2, 6, 0)),
    'small': SwinArch(width=96, depths=(2, 2, 18, 2), heads=(3, 6, 12, 24), agent_blocks=(2, 2, 0, 0)),
    'base': SwinArch(width=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32), agent_blocks=(2, 2, 2, 0)),
}
AgentPVT.archs = {
    'tiny': PVTArch(depths=(2, 2, 2, 2)),
    'small': PVTArch(depths=(3, 4, 6, 3)),
    'medium': PVTArch(depths=(3, 4, 18, 3)),
    'large': PVTArch(depths=(3, 8, 27, 3)),
}
