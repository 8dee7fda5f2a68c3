"""The layout of https://github.com/google-research/vision_transformer (Apache-2.0), whose files are `.npz`.

Kernels have their inputs before their outputs there, and heads an axis of their own.
"""

import re

from torch import Tensor

from denseformer.checkpoints.keys import Rule, StateDict, drop, join, kernel_from_jax, rename
from denseformer.checkpoints.layouts.layout import Layout

NAMES: tuple[Rule, ...] = (
    (r'^cls$', 'cls_token'),
    (r'^Transformer/posembed_input/pos_embedding$', 'pos_embed'),
    (r'^embedding/', 'patch_embed.proj.'),
    (r'^Transformer/encoder_norm/', 'norm.'),
    (r'^Transformer/encoderblock_(\d+)/', r'blocks.\1.'),
    (r'\.LayerNorm_0/', '.norm1.'),
    (r'\.LayerNorm_2/', '.norm2.'),
    (r'\.MultiHeadDotProductAttention_1/(query|key|value)/', r'.attn.\1.'),
    (r'\.MultiHeadDotProductAttention_1/out/', '.attn.proj.'),
    (r'\.MlpBlock_3/Dense_([01])/', lambda match: f'.mlp.fc{int(match[1]) + 1}.'),
    (r'\.(scale|kernel)$', '.weight'),
)


def from_jax(name: str, value: Tensor) -> Tensor:
    """A parameter of that name with PyTorch's axes, heads joined."""
    if re.search(r'/(query|key|value)/', name):
        value = value.flatten(-2)  # (C, h, d), or a bias (h, d)
    elif name.endswith('/out/kernel'):
        value = value.flatten(0, 1)  # (h, d, C)
    return kernel_from_jax(value) if name.endswith('/kernel') else value


def vit(state_dict: StateDict) -> StateDict:
    kept = drop(state_dict, r'^(head|pre_logits)/')
    renamed = rename({name: from_jax(name, value) for name, value in kept.items()}, *NAMES)
    return join(renamed, ('query', 'key', 'value'), 'qkv')


LAYOUTS = {'ViT': Layout(r'^Transformer/', vit)}
