"""Images to tokens: patches, the tokens in front of them, and positions that fit any size.

Legend: B batch, H W the map in patches, C channels, P tokens in front of the patches (class, registers), N = P + H * W.
"""

import logging
import math
from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from denseformer.caching import CachesInEval, autocast_dtype, cached_constant
from denseformer.dynamic_shapes import same_size
from denseformer.layers import pad_image_around, pad_image_to_multiple
from denseformer.layers.initializers import INIT_STD

Size = tuple[int, int]


def square(side: int | Size) -> Size:
    """A side, or both, as both."""
    return (side, side) if isinstance(side, int) else (side[0], side[1])


class Patches(nn.Module):
    """Patches, embedded: (B, in_channels, height, width) -> (B, C, H, W).

    The image is zero-padded to a multiple of the patch, on the right and at the bottom, or with `center` on all sides;
    without `pad`, what does not fill a patch is left out.
    """

    def __init__(self, in_channels: int, dim: int, patch: int, *, pad: bool = True, center: bool = False):
        super().__init__()
        self.multiple = patch if pad else 1
        self.center = center
        self.proj = nn.Conv2d(in_channels, dim, patch, patch)

    def forward(self, image: Tensor) -> Tensor:
        pad = pad_image_around if self.center else pad_image_to_multiple
        return self.proj(pad(image, self.multiple))


def cubic_weights(old: int, new: int, offset: float, like: Tensor) -> Tensor:
    """(new, old) weights of bicubic interpolation on an axis, as if it had `new + offset` samples.

    The kernel is PyTorch's, with a = -0.75; beyond the ends the outermost values go on.
    """
    ratio = old / (torch.scalar_tensor(new, dtype=like.dtype, device=like.device) + offset)
    sample = (torch.arange(new, dtype=like.dtype, device=like.device) + 0.5) * ratio - 0.5
    tap = torch.arange(-2, old + 2, dtype=like.dtype, device=like.device)
    x = (sample[:, None] - tap).abs()  # (new, old + 4)
    near = (1.25 * x - 2.25) * x * x + 1
    far = ((-0.75 * x + 3.75) * x - 6) * x + 3
    weights = torch.where(x <= 1, near, torch.where(x < 2, far, 0))
    before, inner, after = weights[:, :2], weights[:, 2:-2], weights[:, -2:]
    first, last = inner[:, :1] + before.sum(1, keepdim=True), inner[:, -1:] + after.sum(1, keepdim=True)
    return torch.cat([first, inner[:, 1:-1], last], 1)


class PositionTable(CachesInEval):
    """Learned positions of a grid, for maps of any size: (H, W) -> (1, rows + H * W, C).

    rows: positions of tokens that have no place in the grid, first in the table and never interpolated. mode,
    antialias: of the interpolation. offset: in place of both, samples bicubically as if the map had so many patches
    more on either axis.
    """

    def __init__(
        self,
        dim: int,
        grid: Size,
        *,
        rows: int,
        mode: str = 'bicubic',
        antialias: bool = False,
        offset: float | None = None,
    ):
        super().__init__()
        self.grid = grid
        self.rows = rows
        self.mode = mode
        self.antialias = antialias
        self.offset = offset
        self.table = nn.Parameter(torch.zeros(1, rows + grid[0] * grid[1], dim))
        nn.init.normal_(self.table, std=INIT_STD)

    def forward(self, size: Size) -> Tensor:
        return self.cached(size, lambda: self.resize(self.table, self.grid, size))

    def resize(self, table: Tensor, grid: Size, size: Size) -> Tensor:
        """A table of `grid` to one of `size`: (1, rows + h * w, C) -> (1, rows + H * W, C)."""
        fixed, places = table[:, : self.rows], table[:, self.rows :]
        if not same_size(size, grid):
            places = places.transpose(1, 2).unflatten(2, grid)  # (1, C, h, w)
            places = self.interpolate(places.to(torch.promote_types(places.dtype, torch.float32)), size)
            places = places.flatten(2).transpose(1, 2).to(table.dtype)
        return torch.cat([fixed, places], 1)

    def interpolate(self, places: Tensor, size: Size) -> Tensor:
        """(1, C, h, w) -> (1, C, H, W)."""
        if self.offset is None:
            return F.interpolate(places, size, mode=self.mode, align_corners=False, antialias=self.antialias)
        rows, columns = (
            cubic_weights(old, new, self.offset, places) for old, new in zip(places.shape[2:], size, strict=True)
        )
        if autocast_dtype(places) is None:
            return mixed(places, rows, columns)
        with torch.autocast(places.device.type, enabled=False):  # which rounds products, and no interpolation
            return mixed(places, rows, columns)

    def fit(self, table: Tensor, *, ours: bool) -> Tensor:
        """The table of a checkpoint, with or without the fixed rows, as one of this grid.

        A table (1, h, w, C) says its grid; of others `find_grid` finds it, to which `ours` goes.
        """
        if table.ndim == 4:
            return self.resize(table.flatten(1, 2), (table.shape[1], table.shape[2]), self.grid)
        table = table.view(1, -1, table.shape[-1])
        fixed = self.fixed_rows(table, (self.rows, 0))
        grid = find_grid(table[0, fixed:], self.grid, ours=ours)
        if fixed < self.rows:  # positions of the patches alone
            table = torch.cat([table.new_zeros(1, self.rows, table.shape[2]), table], 1)
        return self.resize(table, grid, self.grid)

    def fixed_rows(self, table: Tensor, choices: Sequence[int]) -> int:
        """How many rows of a table (1, N, C) have no place, out of `choices`.

        The first after which as many are left as this grid has, otherwise as a square has, otherwise the first.
        """
        left = {rows: table.shape[1] - rows for rows in choices}
        own = [rows for rows in choices if left[rows] == self.grid[0] * self.grid[1]]
        squares = [rows for rows in choices if left[rows] > 0 and math.isqrt(left[rows]) ** 2 == left[rows]]
        return [*own, *squares, *choices][0]


def find_grid(places: Tensor, own: Size, *, ours: bool) -> Size:
    """The grid (h, w) of a table of positions (h * w, C): a network's `own`, or a square.

    Where the number of places admits both, as 576 are 18 x 32 and 24 x 24, it is the own grid under `ours`, the names
    of this package. Under official names it is the square, unless neighbors on the own grid are clearly more alike:
    learned positions vary slowly. The log says which. Raises ValueError where the number admits neither.
    """
    count, side = len(places), math.isqrt(len(places))
    square = (side, side)
    is_own, is_square = count == own[0] * own[1], count == side**2
    if not is_own and not is_square:
        raise ValueError(
            f'A position table of {count} places belongs to an image that is not square, of a size unknown here. '
            'Build the network with the image_size that the checkpoint was trained at.'
        )
    if own == square or places.is_meta or not (is_own and is_square):
        return own if is_own else square
    kept = ours or roughness(places, own) < 0.5 * roughness(places, square)
    taken, other = (own, square) if kept else (square, own)
    reason = "its names are this package's" if ours else 'its neighbors are alike' if kept else 'official ones are'
    warn_once(
        f'A position table of {count} places is read as one of {taken[0]} x {taken[1]} patches, as {reason}, and not '
        f'of {other[0]} x {other[1]}.'
    )
    return taken


def roughness(places: Tensor, grid: Size) -> float:
    """The mean square of the differences between neighbors, on either axis, of a table (h * w, C) on a grid."""
    x = places.float().unflatten(0, grid)
    return torch.cat([x.diff(dim=0).flatten(), x.diff(dim=1).flatten()]).square().mean().item()


@cache
def warn_once(message: str) -> None:
    """Log a warning once in a process: a file is looked at several times while it is loaded."""
    print_log(message, 'current', logging.WARNING)


def mixed(places: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """A map (1, C, h, w) with its rows and columns mixed by weights (H, h) and (W, w): -> (1, C, H, W)."""
    wide = F.linear(places, columns)  # (1, C, h, W)
    return F.linear(wide.transpose(2, 3), rows).transpose(2, 3)


@cached_constant(32)
def sine_positions(size: Size, dim: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Fixed positions (1, 1 + H * W, C) of MAE: zeros for the class token, then sines and cosines by place.

    The first half of the channels says the column, the second the row, both counted from 0.
    """
    frequency = 10000.0 ** (-torch.arange(dim // 4, device=device, dtype=torch.float64) / (dim // 4))
    rows, columns = (torch.arange(side, device=device, dtype=torch.float64)[:, None] * frequency for side in size)
    rows, columns = (torch.cat([angle.sin(), angle.cos()], -1) for angle in (rows, columns))
    H, W = size
    places = torch.cat([columns[None].expand(H, -1, -1), rows[:, None].expand(-1, W, -1)], -1).flatten(0, 1)
    return torch.cat([places.new_zeros(1, dim), places])[None].to(dtype)


class TokenEmbed(nn.Module):
    """An image to tokens: (B, in_channels, height, width) -> (B, N, C) and the map's (H, W).

    In front of the patches stand the class token, if there is one, and the registers. Positions are added to the
    patches and, where the table has a row for it, to the class token; registers carry none.
    """

    def __init__(
        self,
        patches: nn.Module,
        dim: int,
        *,
        cls_token: bool = True,
        registers: int = 0,
        positions: nn.Module | None = None,
    ):
        super().__init__()
        self.patches = patches
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if cls_token else None
        self.register_tokens = nn.Parameter(torch.zeros(1, registers, dim)) if registers else None
        self.positions = positions
        self.prefix = int(cls_token) + registers
        """P, the number of tokens in front of the patches."""
        for token in (self.cls_token, self.register_tokens):
            if token is not None:
                nn.init.normal_(token, std=INIT_STD)

    def forward(self, image: Tensor) -> tuple[Tensor, Size]:
        x = self.patches(image)  # (B, C, H, W)
        size = x.shape[2], x.shape[3]
        x = x.flatten(2).transpose(1, 2)  # (B, H * W, C)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1)
        if self.positions is not None:
            x = x + self.positions(size)
        if self.register_tokens is not None:
            registers = self.register_tokens.expand(x.shape[0], -1, -1)
            front = int(self.cls_token is not None)
            x = torch.cat([x[:, :front], registers, x[:, front:]], 1)
        return x, size


def resize_patch_kernel(weight: Tensor, patch: int) -> Tensor:
    """Kernels of another patch size, (K, C, p, p) -> (K, C, patch, patch), that see the same in a resized image.

    The least-squares solution of FlexiViT, https://arxiv.org/abs/2212.08013: patches enlarged bicubically have the
    products with the new kernels that the original patches have with the old ones.
    """
    old = weight.shape[-1]
    if old == patch:
        return weight
    if weight.is_meta:  # a file is being identified by its shapes
        return weight.new_empty(*weight.shape[:2], patch, patch)
    basis = torch.eye(old * old, dtype=torch.float64).view(old * old, 1, old, old)
    enlarge = F.interpolate(basis, (patch, patch), mode='bicubic', align_corners=False, antialias=True)
    inverse = torch.linalg.pinv(enlarge.flatten(1))  # (patch ** 2, p ** 2)
    kernels = weight.flatten(2).double().cpu() @ inverse.T
    return kernels.unflatten(2, (patch, patch)).to(weight)
