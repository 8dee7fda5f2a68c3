"""The contract of a plain backbone: one sequence of tokens from the first block to the last, maps at one stride.

Legend: B batch, H W the map in patches, C channels, P tokens in front of the patches (class, registers), N = P + H * W.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.base import Backbone, BackboneOptions, ParamGroup
from denseformer.backbones.plain.embedding import PositionTable, Size, TokenEmbed, resize_patch_kernel, square
from denseformer.checkpoints.keys import StateDict, drop, rename
from denseformer.network import Checkpointing


@dataclass(frozen=True, kw_only=True)
class PlainArch:
    """blocks: their number; hidden: width of the MLPs, 0 for 4 times that of the tokens.

    patch_size, image_size: of the published network, in pixels; image_size decides the size of position tables.
    out_indices: the blocks whose maps dense heads take; empty for the ends of four equal parts.
    """

    width: int
    blocks: int
    heads: int
    hidden: int = 0
    patch_size: int = 16
    image_size: int = 224
    out_indices: tuple[int, ...] = ()

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.width,) * self.blocks

    @property
    def mlp_width(self) -> int:
        return self.hidden or 4 * self.width

    @property
    def default_out_indices(self) -> tuple[int, ...]:
        parts = min(4, self.blocks)
        return self.out_indices or tuple(self.blocks * (i + 1) // parts - 1 for i in range(parts))


class PlainOptions(BackboneOptions, total=False):
    """The options that every plain backbone hands on to `PlainBackbone`, which documents them."""

    patch_size: int | None
    image_size: int | Size | None
    norm_outputs: bool | str | None
    output_tokens: bool


class PlainBackbone(Checkpointing, Backbone):
    """An image to the maps of chosen blocks, all of one width and at one stride.

    A subclass's constructor makes a `TokenEmbed` and its blocks, which take tokens (B, N, C) and what `context` makes
    of the map's size, and hands them to `build`.

    Args of every plain backbone, besides those of `Backbone`, whose stages are blocks here:
        out_indices: the numbers of the blocks, from 0, whose maps are returned, ascending; left out, those that the
            authors' dense heads take. Blocks after the last one are not built.
        frozen_stages: -1 trains all; n >= 0 freezes the embedding of patches, tokens and positions, and the first n
            blocks; the final norm is frozen with the last block.
        patch_size: side of a patch in pixels, which is the stride; None for the variant's own. Kernels of another
            size are resampled when they are loaded.
        image_size: the side, or height and width, that position tables are made for; None for the variant's own.
            Images of any size are taken. Tables of another size are resized when they are loaded.
        norm_outputs: whether maps pass through the final norm; 'last' for that of the network's last block alone;
            None for what the authors' dense code does.
        output_tokens: return (map, tokens) for each block in place of a map; tokens: (B, P, C), the class token and
            the registers.
    """

    normed_outputs: ClassVar[bool | str] = False
    """Whether the authors' dense code sends maps through the final norm."""
    has_final_norm: ClassVar[bool] = True
    no_weight_decay: ClassVar[tuple[str, ...]] = ('norm', 'positions', '_token', 'gamma')

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any],
        patch_size: int | None = None,
        image_size: int | Size | None = None,
        norm_outputs: bool | str | None = None,
        output_tokens: bool = False,
        **common: Unpack[BackboneOptions],
    ):
        if norm_outputs and not self.has_final_norm:
            raise ValueError(f'{type(self).__name__} has no final norm: norm_outputs must be False.')
        if common.get('plugins'):
            raise ValueError(f'Plugins stand behind the stages of a pyramid, and {type(self).__name__} has none.')
        record = self.resolve_arch(arch)
        common.setdefault('out_indices', record.default_out_indices)
        super().__init__(arch=arch, **common)
        self.patch_size = patch_size or record.patch_size
        self.image_size = square(image_size or record.image_size)
        self.grid = self.image_size[0] // self.patch_size, self.image_size[1] // self.patch_size
        self.norm_outputs = self.normed_outputs if norm_outputs is None else norm_outputs
        self.output_tokens = output_tokens

    @property
    def out_strides(self) -> tuple[int, ...]:
        return (self.patch_size,) * len(self.out_channels)

    def build(self, *, patch_embed: TokenEmbed, blocks: Sequence[nn.Module], norm: nn.Module | None) -> None:
        """Take the parts over, drop the ones no output needs, draw the initial weights, and freeze what was asked for.

        norm: the final one; None where the network has none.
        """
        if self.output_tokens and not patch_embed.prefix:
            raise ValueError(f'{type(self).__name__} has no tokens besides patches: output_tokens must be False.')
        self.patch_embed = patch_embed
        self.blocks = nn.ModuleList(blocks[: self.out_indices[-1] + 1])
        self.norm = norm if norm is not None and self._is_normed(self.out_indices[-1]) else nn.Identity()
        self.apply(self.initial_weights)
        for module in self._frozen_modules():
            module.requires_grad_(False)

    def context(self, x: Tensor, size: Size) -> tuple[Any, ...]:
        """Extra arguments of every block for tokens (B, N, C) of a map (H, W)."""
        return ()

    def forward(self, image: Tensor) -> tuple[Any, ...]:
        """image: (B, in_channels, height, width), normalised -> one (B, C, H, W) per out index.

        With `output_tokens`, one pair of (B, C, H, W) and (B, P, C) per out index.
        """
        x, size = self.patch_embed(image)
        context = self.context(x, size)
        outs = []
        for i, block in enumerate(self.blocks):
            x = self.run(block, x, *context)
            if i in self.out_indices:
                outs.append(self.output(self.norm(x) if self._is_normed(i) else x, size, self.prefix_after(i)))
        return tuple(outs)

    def _is_normed(self, block: int) -> bool:
        return block == self.arch.blocks - 1 if self.norm_outputs == 'last' else bool(self.norm_outputs)

    def prefix_after(self, block: int) -> int:
        """P, the number of tokens in front of the patches behind a block."""
        return self.patch_embed.prefix

    def output(self, x: Tensor, size: Size, prefix: int) -> Tensor | tuple[Tensor, Tensor]:
        patches = x[:, prefix:].unflatten(1, size).permute(0, 3, 1, 2)  # (B, C, H, W)
        return (patches, x[:, :prefix]) if self.output_tokens else patches

    def _frozen_modules(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        norm = [self.norm] if self.frozen_stages >= len(self.blocks) else []
        return [self.patch_embed, *self.blocks[: self.frozen_stages], *norm]

    def drop_keys_of_unbuilt_parts(self, state_dict: StateDict) -> StateDict:
        unbuilt = [f'blocks.{i}.' for i in range(len(self.blocks), self.arch.blocks)]
        unbuilt += ['norm.'] if isinstance(self.norm, nn.Identity) else []
        return {key: value for key, value in state_dict.items() if not key.startswith(tuple(unbuilt))}

    @property
    def depth(self) -> int:
        """The depth of the last block, counting from 1; the final norm lies one deeper."""
        return len(self.blocks)

    def param_groups(self) -> dict[str, ParamGroup]:
        """The treatment of each parameter by the optimizer constructor, by name: the embedding has depth 0."""

        def depth_of(name: str) -> int:
            part, *rest = name.split('.')
            if part == 'blocks':
                return int(rest[0]) + 1
            return 0 if part == 'patch_embed' else self.depth + 1

        return {
            name: ParamGroup(decay=not any(part in name for part in self.no_weight_decay), depth=depth_of(name))
            for name, _ in self.named_parameters()
        }

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: Any) -> StateDict:
        """From the names that the families' official code and timm share, and from mmsegmentation's.

        Position tables and kernels come at `network`'s sizes.
        """
        table, kernel = 'patch_embed.positions.table', 'patch_embed.patches.proj.weight'
        ours = any(key.endswith(table) for key in state_dict)
        state_dict = rename(
            drop(
                state_dict,
                r'(^|\.)mask_token$',
                r'^(head|head_dist|fc_norm|decoder\w*|lm_head|cls_pt_\w+)\.',  # the last two: BEiT's pre-training
                r'^decoder_pos_embed$',
            ),
            (r'^(encoder|backbone)\.', ''),
            (r'^layers\.(\d+)\.', r'blocks.\1.'),
            (r'(^|\.)ln([12])\.', r'\1norm\2.'),
            (r'^norm1\.', 'norm.'),
            (r'\.attn\.attn\.in_proj_', '.attn.qkv.'),
            (r'\.attn\.attn\.out_proj\.', '.attn.proj.'),
            (r'\.ffn\.layers\.(0\.0|1)\.', lambda match: f'.mlp.fc{1 if match[1] == "0.0" else 2}.'),
            (r'^patch_embed\.projection\.', 'patch_embed.proj.'),
            (r'^blocks\.\d+\.(\d+)\.', r'blocks.\1.'),  # chunks, whose blocks are numbered through
            (r'^cls_token$', 'patch_embed.cls_token'),
            (r'^(reg_token|register_tokens|storage_tokens)$', 'patch_embed.register_tokens'),
            (r'^pos_embed$', 'patch_embed.positions.table'),
            (r'^patch_embed\.proj\.', 'patch_embed.patches.proj.'),
            (r'\.(ls|gamma_)([12])(\.gamma)?$', r'.gamma\2'),
            (r'\.attn\.([qv]_bias)$', r'.attn.qkv.\1'),
        )
        positions = network.patch_embed.positions
        if table in state_dict and isinstance(positions, PositionTable):
            state_dict[table] = positions.fit(state_dict[table], ours=ours)
        if kernel in state_dict:
            state_dict[kernel] = resize_patch_kernel(state_dict[kernel], network.patch_size)
        return state_dict
