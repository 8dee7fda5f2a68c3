"""EcoFormer: PVT v2 with attention on binary codes of queries and keys.

Paper: "EcoFormer: Energy-Saving Attention with Linear Complexity", https://arxiv.org/abs/2209.09004.
Official code: https://github.com/ziplab/EcoFormer (Apache-2.0), for classification only.

In the first three stages queries and keys are the same projection. Its tokens, at unit length, are compared with a few
anchors; signs of projected similarities are codes of 16 bits, whose products are the weights of a linear attention over
all tokens. The last stage is ordinary attention.

Anchors, the features' mean and the projection of a layer are not trained but learned from the first batch that it sees
in training, unless they were loaded. The authors take all tokens of the batch, here at most 1024 of each image.

Legend: B batch, H W map, N tokens, C channels, h heads, d head width, m anchors, b bits of a code.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import broadcast
from torch import Tensor, nn
from torch._compile import _disable_dynamo
from typing_extensions import Unpack

from denseformer.attention.hashing import alike_tokens, anchor_features, hash_codes, hashed_attention, learn_projection
from denseformer.backbones.base import BackboneOptions
from denseformer.backbones.global_attention.pvt_v2 import Arch, PVTv2Base
from denseformer.checkpoints.keys import StateDict, drop, rename
from denseformer.layers import Linear
from denseformer.network import Source
from denseformer.registry import MODELS

BITS, ANCHORS = 16, 25
SAMPLE = 1024  # tokens of an image that hash functions are learned from


class HashFunctions(nn.Module):
    """Codes of tokens at unit length, (B, h, N, d) -> (B, h, N, b), by functions that are learned once in training."""

    anchors: Tensor
    mean: Tensor
    projection: Tensor
    learned: Tensor

    def __init__(self, heads: int, width: int):
        super().__init__()
        self.register_buffer('anchors', torch.zeros(heads, ANCHORS, width))
        self.register_buffer('mean', torch.zeros(heads, 1, ANCHORS))
        self.register_buffer('projection', torch.randn(heads, BITS, ANCHORS))
        self.register_buffer('learned', torch.zeros((), dtype=torch.bool))

    def forward(self, x: Tensor) -> Tensor:
        if self.training and not self.learned:
            self.learn(x.detach())
        return hash_codes(x, *(table.to(x.dtype) for table in (self.anchors, self.mean, self.projection)))

    @torch.no_grad()
    @_disable_dynamo  # as torch.compiler.disable, which imports the whole compiler at once
    def learn(self, x: Tensor) -> None:
        """From tokens (B, h, N, d): random ones of the first image become the anchors. All ranks take the first's."""
        order = torch.randperm(x.shape[2], generator=torch.Generator().manual_seed(0)).to(x.device)
        anchors = x[0][:, order[torch.arange(ANCHORS, device=x.device) % len(order)]]
        tokens = x[:, :, order[:SAMPLE]]
        features = anchor_features(tokens, anchors)
        mean = features.mean((0, 2))[:, None]  # (h, 1, m)
        projection = learn_projection(features - mean, alike_tokens(tokens), self.projection.to(x.dtype))
        for own, value in ((self.anchors, anchors), (self.mean, mean), (self.projection, projection)):
            own.copy_(value)
            broadcast(own)
        self.learned.fill_(True)


class HashedAttention(nn.Module):
    """Linear attention on codes of tokens: (B, H, W, C) -> the same. Codes and sums are of float32 at least."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qk = Linear(dim, dim)
        self.v = Linear(dim, dim)
        self.hash = HashFunctions(heads, dim // heads)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        qk, v = (
            project(x).flatten(1, 2).unflatten(-1, (self.heads, -1)).transpose(1, 2).to(wide)
            for project in (self.qk, self.v)
        )  # each (B, h, N, d)
        with torch.autocast(x.device.type, enabled=False):
            out = hashed_attention(self.hash(F.normalize(qk, dim=-1)), v)
        return self.proj(out.transpose(1, 2).reshape(x.shape).to(x.dtype))


@MODELS.register_module()
class EcoFormer(PVTv2Base):
    """PVT v2 with hashed attention in its first three stages. The arguments are described in `Backbone`."""

    source = Source(
        paper='EcoFormer: Energy-Saving Attention with Linear Complexity, https://arxiv.org/abs/2209.09004',
        code='https://github.com/ziplab/EcoFormer',
        license='Apache-2.0',
    )

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'b0',
        drop_path_rate: float = 0.1,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(arch=arch, **common)
        self.build(drop_path_rate)

    def make_mixer(self, stage: int) -> nn.Module:
        if stage == 3:
            return self.make_attention(stage)
        return HashedAttention(self.arch.widths[stage], self.arch.heads[stage])

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'EcoFormer') -> StateDict:
        """From PVT v2's names and `ksh`; hash functions that are loaded count as learned."""
        state_dict = rename(
            drop(PVTv2Base.remap_official_keys(state_dict, network), r'\.fast_attention\.projection_matrix$'),
            (r'\.attn\.to_(qk|v)\.', r'.attn.\1.'),
            (r'\.attn\.fast_attention\.ksh\.A$', '.attn.hash.projection'),
            (r'\.attn\.fast_attention\.ksh\.mvec$', '.attn.hash.mean'),
            (r'\.attn\.fast_attention\.ksh\.anchor$', '.attn.hash.anchors'),
        )
        for key in [key for key in state_dict if key.endswith(('.hash.mean', '.hash.anchors'))]:
            table = state_dict[key]
            state_dict[key] = table.view(table.shape[-3:])
            state_dict.setdefault(f'{key.rpartition(".")[0]}.learned', torch.ones((), dtype=torch.bool))
        return state_dict


HEADS = (1, 2, 5, 8)
WIDTHS = (64, 128, 320, 512)

EcoFormer.archs = {
    'b0': Arch(widths=(32, 64, 160, 256), depths=(2, 2, 2, 2), heads=HEADS),
    'b1': Arch(widths=WIDTHS, depths=(2, 2, 2, 2), heads=HEADS),
    'b2': Arch(widths=WIDTHS, depths=(3, 4, 6, 3), heads=HEADS),
    'b3': Arch(widths=WIDTHS, depths=(3, 4, 18, 3), heads=HEADS),
    'b4': Arch(widths=WIDTHS, depths=(3, 8, 27, 3), heads=HEADS),
}
