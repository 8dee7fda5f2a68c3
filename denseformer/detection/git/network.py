"""The network of GiT: points of an image ask, and a plain vision transformer answers word by word.

Particular: a sequence starts at each point of a regular grid with a token that says where, and one that says what task
it is. It passes through the image's own blocks, where it sees its window of the image and itself, and no other
sequence; the image sees only itself, so it is seen once, and blocks of global attention are its alone. Words are
vectors, and the score of a word is its product with the last block's output.

Legend: B images, n windows of all of them, S patches of a window, G points of a window, L tokens of a sequence, h
heads, d head width, C channels, V words, H W map of patches.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from denseformer.attention.windows import window_partition, window_reverse
from denseformer.backbones.plain.base import PlainBackbone
from denseformer.backbones.plain.embedding import Size
from denseformer.backbones.plain.sam import SAM, RelativeAttention
from denseformer.checkpoints.keys import RenamesKeys, Rule
from denseformer.detection.git.vocabulary import Vocabulary
from denseformer.layers import PreNormBlock
from denseformer.registry import MODELS


class Memory(NamedTuple):
    """The part of the image that sequences see in one block.

    map: (B, H, W, C), as it enters the block; keys, values: of its windows, (n, h, S, d).
    """

    map: Tensor
    keys: Tensor
    values: Tensor


class Past(NamedTuple):
    """Keys and values of the tokens of sequences in one block, (n, h, G, L, d)."""

    keys: Tensor
    values: Tensor


def look(block: PreNormBlock, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A map (B, H, W, C) after a block of windows, and its keys and values, (n, h, S, d)."""
    attn: RelativeAttention = block.attn
    assert attn.window is not None
    window, size = (attn.window, attn.window), (x.shape[1], x.shape[2])
    windows = window_partition(block.norm1(x), window).flatten(0, 1)  # (n, S, C)
    qkv = attn.qkv(windows)
    mixed = attn.mix(qkv.unflatten(1, window)).view(windows.shape)
    x = x + attn.proj(window_reverse(mixed.view(x.shape[0], -1, *windows.shape[1:]), window, size))
    _, keys, values = qkv.unflatten(2, (3, attn.heads, -1)).permute(2, 0, 3, 1, 4)
    return x + block.drop_path(block.mlp(block.norm2(x))), keys, values


def answer(block: PreNormBlock, tokens: Tensor, keys: Tensor, values: Tensor, past: Past | None) -> tuple[Tensor, Past]:
    """Tokens (n, G, L, C) after a block of windows, and all that sequences hold now; `past`: of the tokens before."""
    attn: RelativeAttention = block.attn
    qkv = attn.qkv(block.norm1(tokens)).unflatten(3, (3, attn.heads, -1))
    q, k, v = qkv.permute(3, 0, 4, 1, 2, 5)  # each (n, h, G, L, d)
    if past is not None:
        k, v = torch.cat([past.keys, k], 3), torch.cat([past.values, v], 3)
    q = q * q.shape[-1] ** -0.5
    own = q @ k.transpose(3, 4)  # (n, h, G, L, tokens so far)
    later = torch.ones(own.shape[3:], dtype=torch.bool, device=own.device).triu(own.shape[4] - own.shape[3] + 1)
    own = own.masked_fill(later, float('-inf'))
    seen = torch.einsum('nhgld,nhsd->nhgls', q, keys)
    seen, own = torch.cat([seen, own], -1).softmax(-1).split([seen.shape[-1], own.shape[-1]], -1)
    mixed = torch.einsum('nhgls,nhsd->nhgld', seen, values) + own @ v
    tokens = tokens + attn.proj(mixed.permute(0, 2, 3, 1, 4).flatten(3))
    return tokens + block.drop_path(block.mlp(block.norm2(tokens))), Past(k, v)


def at_points(map: Tensor, points: Tensor) -> Tensor:
    """Values of a map (B, H, W, C) at points (n, G, 2), x and y as shares of its sides, bilinearly: (n, G, C)."""
    places = 2 * points.unflatten(0, (len(map), -1)) - 1  # (B, windows, G, 2)
    found = F.grid_sample(map.permute(0, 3, 1, 2), places.to(map.dtype), align_corners=False)  # (B, C, windows, G)
    return found.permute(0, 2, 3, 1).flatten(0, 1)


@MODELS.register_module()
class GiT(RenamesKeys, BaseModule):
    """The network; stands where a model has its backbone, and what it returns of an image answers a head.

    Args:
        backbone: config of a `GiTViT`, or of a `SAM` of whose blocks the last attends in windows.
        class_names: of the classes; or the name of a dataset whose classes mmdetection or mmsegmentation lists, as
            'coco' and 'ade20k'; or their number, where words need no names.
        task: what is asked, as the authors name it: 'detection', 'instance_segmentation', 'semantic_segmentation'.
        num_bins: the numbers 0 .. num_bins are words, too; None for none.
        vocabulary: path of BERT's `vocab.txt`, whose pieces make up the words; None for words of their own, which know
            nothing of each other before training.
        words_from: checkpoint of BERT's embeddings that training starts from, the authors' `bert_embed.pt`.
        dropout: of the embedded words.
        init_cfg: mmengine's.

    Images are padded to whole windows by the model's preprocessor: 224 pixels for windows of 14 patches of 16. Raises
    ValueError for images of other sizes.
    """

    names: ClassVar[tuple[Rule, ...]] = (
        (r'^embed\.(word|position)_embeddings\.', r'words.\1s.'),
        (r'^embed\.LayerNorm\.', 'words.norm.'),
        (r'^synt_position_embeddings\.', 'words.piece_positions.'),
        (r'^synt_att\.', 'words.attn.'),
    )

    def __init__(
        self,
        *,
        backbone: Mapping[str, Any],
        class_names: Sequence[str] | str | int,
        task: str,
        num_bins: int | None = None,
        vocabulary: str | None = None,
        words_from: str | None = None,
        dropout: float = 0.1,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        self.backbone: PlainBackbone = MODELS.build(dict(backbone))
        last = self.backbone.blocks[-1].attn if isinstance(self.backbone, SAM) else None
        if last is None or last.window is None:
            raise ValueError(f"GiT asks windows: '{backbone['type']}' must be a GiTViT, or a SAM that ends in windows.")
        self.window: int = last.window
        self.words = Vocabulary(
            self.backbone.arch.width,
            class_names,
            task=task,
            num_bins=num_bins,
            vocabulary=vocabulary,
            dropout=dropout,
            words_from=words_from,
        )

    def forward(self, image: Tensor) -> 'Sight':
        """image: (B, in_channels, height, width), normalised."""
        backbone = self.backbone
        x, size = backbone.patch_embed(image)
        if size[0] % self.window or size[1] % self.window:
            side = self.window * backbone.patch_size
            raise ValueError(
                f'GiT takes images of whole windows, multiples of {side} pixels, got {image.shape[2]} x '
                f'{image.shape[3]}: set pad_size_divisor={side} in the data_preprocessor.'
            )
        x = x.unflatten(1, size)  # (B, H, W, C)
        memories = []
        for block in backbone.blocks:
            if block.attn.window is None:
                x = backbone.run(block, x.flatten(1, 2), size).unflatten(1, size)
                continue
            entering = x
            x, keys, values = backbone.run(look, block, x)
            memories.append(Memory(entering, keys, values))
        return Sight(self, x, memories)


class Sight:
    """An image that was seen, which answers questions.

    map: (B, H, W, C), of the last block; memories: of the blocks of windows.
    """

    def __init__(self, network: GiT, map: Tensor, memories: Sequence[Memory]):
        self.network = network
        self.map = map
        self.memories = memories
        self.windows: Size = (map.shape[1] // network.window, map.shape[2] // network.window)
        """Rows and columns of windows in an image."""
        self.blocks = [block for block in network.backbone.blocks if block.attn.window is not None]

    def points(self, grid: Size) -> Tensor:
        """The centers of `grid` equal parts of every window, x and y as shares of the image: (n, G, 2)."""
        rows, columns = (
            (torch.arange(parts * windows, device=self.map.device) + 0.5) / (parts * windows)
            for parts, windows in zip(grid, self.windows, strict=True)
        )
        rows, columns = torch.meshgrid(rows, columns, indexing='ij')
        points = torch.stack([columns, rows], -1)[None]  # (1, rows, columns, 2)
        return window_partition(points, grid)[0].repeat(len(self.map), 1, 1)

    def starts(self, grid: Size, task: Tensor) -> Tensor:
        """The start of the sequence at each point, the task (C,) and where the point lies: (n, G, C)."""
        size = (grid[0] * self.windows[0], grid[1] * self.windows[1])
        places = self.network.backbone.patch_embed.positions(size).unflatten(1, size)
        return task + window_partition(places, grid)[0].repeat(len(self.map), 1, 1)

    def teach(self, points: Tensor, starts: Tensor, task: Tensor, words: Tensor, given: Tensor) -> Tensor:
        """Scores of the words at every position of sequences that are known but for the last: (n, G, L, V).

        points: (n, G, 2); starts: (n, G, C); task: (C,); words: (V, C); given: their numbers, (n, G, L - 1).
        """
        network = self.network
        sequence = torch.cat([task.expand(*given.shape[:2], 1, -1), words[given]], 2)
        tokens = torch.cat([starts[:, :, None], network.words.embed(sequence, 0)], 2)  # (n, G, 1 + L, C)
        for i, (block, memory) in enumerate(zip(self.blocks, self.memories, strict=True)):
            tokens = torch.cat([self.first(i, memory, tokens[:, :, :1], points, starts), tokens[:, :, 1:]], 2)
            tokens, _ = network.backbone.run(answer, block, tokens, memory.keys, memory.values, None)
        return tokens[:, :, 1:] @ words.T

    def first(self, index: int, memory: Memory, token: Tensor, points: Tensor, starts: Tensor) -> Tensor:
        """The first token (n, G, 1, C) as it enters a block: the image at the point, and the start, are added again."""
        token = token + at_points(memory.map, points)[:, :, None]
        return token + starts[:, :, None] if index else token

    def ask(
        self, points: Tensor, starts: Tensor, task: Tensor, words: Tensor, allowed: Sequence[range]
    ) -> list[Tensor]:
        """Scores (n, G, number of words) of the `allowed` ones at each position; the best is what the next one follows.

        The other arguments are those of `teach`.
        """
        past: list[Past | None] = [None] * len(self.blocks)
        self.pass_on(starts[:, :, None], past, points, starts)
        token = self.network.words.embed(task.expand(*starts.shape[:2], 1, -1), 0)
        scores = []
        for position, choice in enumerate(allowed, start=1):
            found = self.pass_on(token, past) @ words[choice.start : choice.stop].T  # (n, G, 1, words)
            scores.append(found[:, :, 0])
            token = self.network.words.embed(words[choice.start + found.argmax(-1)], position)
        return scores

    def pass_on(
        self, token: Tensor, past: list[Past | None], points: Tensor | None = None, starts: Tensor | None = None
    ) -> Tensor:
        """One token of each sequence (n, G, 1, C) through all blocks; `past` grows by it. The first has `points`."""
        for i, (block, memory) in enumerate(zip(self.blocks, self.memories, strict=True)):
            if points is not None and starts is not None:
                token = self.first(i, memory, token, points, starts)
            token, past[i] = answer(block, token, memory.keys, memory.values, past[i])
        return token
