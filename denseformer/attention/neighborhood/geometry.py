"""The tiles that maps are cut into for neighborhood attention: positions of their queries and keys, and masks.

Everything irregular in neighborhood attention is here: dilation, windows moved inwards at the border, groups of
unequal length, and sizes that are no multiple of the tile.

Legend: B batch, H W map, h heads, d head width, k kernel, n tiles with r rows and c columns of them, T queries and S
keys of a tile along one axis, Nq Nk queries and keys of a tile, m masks that differ.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

CACHED_BYTES, ACCELERATOR_BYTES = 4 << 20, 256 << 20
"""Keys and values gathered at a time on CPU, where a few megabytes measured best, and elsewhere."""
TILE_COST, ODD_TILE = 9.0, 1.22
"""The cost of a tile besides its products, in queries times keys, per key, and the factor of an odd side; measured."""
LARGEST_TILE = 16
CPU = torch.device('cpu')


@dataclass(frozen=True, eq=False)
class AxisTiles:
    """The tiles of one axis.

    queries, keys: positions on the axis, (n, T) and (n, S); owned: False where a query is repeated to fill a tile,
    (n, T); slots: where a position is among the queries, (length,); mask_index: which of the different masks is the
    tile's, (n,); offsets: those masks, (m, S, T), key - query + k - 1 inside the neighborhood, else -1.
    """

    queries: Tensor
    keys: Tensor
    owned: Tensor
    slots: Tensor
    mask_index: Tensor
    offsets: Tensor

    @property
    def count(self) -> int:
        return self.queries.shape[0]

    @property
    def tile(self) -> int:
        return self.queries.shape[1]

    @property
    def span(self) -> int:
        return self.keys.shape[1]


def tile_span(members: int, tiles: int, tile: int, kernel_size: int) -> int:
    """The number of keys, of a group of so many members, that the neighborhoods of one tile's queries span."""
    halo = kernel_size // 2 if tiles == 2 else kernel_size - 1
    return members if tiles == 1 else max(min(members, tile + halo), kernel_size)


def choose_tile(members: int, kernel_size: int) -> int:
    """The side of the square tile that costs least per query: masked keys against gathering and small products."""

    def cost(tile: int) -> float:
        tiles = -(-members // tile)
        padded = tiles * tile / members
        products = (tile_span(members, tiles, tile, kernel_size) * padded) ** 2
        return products * (1 + TILE_COST / tile**2) * (ODD_TILE if tile % 2 else 1.0)

    return min(range(1, min(members, LARGEST_TILE) + 1), key=cost)


@lru_cache(maxsize=128)
def tile_axis(length: int, key_length: int, kernel_size: int, dilation: int) -> AxisTiles:
    """Tiles for queries at 0 .. length-1 and keys at 0 .. key_length-1; held on the CPU, not to be written to.

    The last key stands for all that are missing to a neighborhood.
    """
    groups, reach = min(dilation, length), max(key_length, kernel_size * dilation)
    members, key_members = -(-length // dilation), -(-reach // dilation)
    tile = choose_tile(members, kernel_size)
    tiles = -(-members // tile)
    span = tile_span(key_members, tiles, tile, kernel_size)

    group = torch.arange(groups, device=CPU)[:, None, None]
    last_query, group_keys = (length - 1 - group) // dilation, (reach - 1 - group) // dilation + 1
    wanted = torch.arange(tiles * tile, device=CPU).view(1, tiles, tile)
    query = wanted.minimum(last_query)  # (groups, tiles, T), in members of the group
    first = (query - kernel_size // 2).clamp(min=0).minimum(group_keys - kernel_size)
    key = first[..., :1].clamp(max=key_members - span) + torch.arange(span, device=CPU)  # (groups, tiles, S)
    since_first = key[..., None] - first[..., None, :]  # (groups, tiles, S, T)
    inside = (since_first >= 0) & (since_first < kernel_size)
    offset = torch.where(inside, key[..., None] - query[..., None, :] + kernel_size - 1, -1)
    offsets, mask_index = torch.unique(offset.flatten(0, 1), dim=0, return_inverse=True)
    position = torch.arange(length, device=CPU)
    return AxisTiles(
        queries=(query * dilation + group).flatten(0, 1),
        keys=(key.minimum(group_keys - 1) * dilation + group).clamp(max=key_length - 1).flatten(0, 1),
        owned=(wanted <= last_query).flatten(0, 1),
        slots=position % dilation * (tiles * tile) + position // dilation,
        mask_index=mask_index,
        offsets=offsets,
    )


@dataclass(frozen=True, eq=False)
class TileIndex:
    """The `head_rows` of a map that tiles are made of: sums of a number per row of a tile and one per column and head.

    down: (r, T), across: (c, h, T).
    """

    down: Tensor
    across: Tensor

    def of(self, rows: slice, columns: slice) -> Tensor:
        """The `head_rows` of some rows and columns of tiles, in the order tile, head, query or key, (n*h*T*T,)."""
        return (self.down[rows, None, None, :, None] + self.across[columns, :, None, :]).flatten()


@dataclass(frozen=True, eq=False)
class MapTiles:
    """The tiles of a batch of maps: every tile of the rows with every tile of the columns, image by image.

    They are worked through in bands, some rows of tiles whose queries fit into the cache, and those in chunks, tiles
    whose keys do.
    """

    rows: AxisTiles
    columns: AxisTiles
    batch: int
    heads: int
    kernel_size: int
    device: torch.device

    @property
    def queries(self) -> int:
        return self.rows.tile * self.columns.tile

    @property
    def keys(self) -> int:
        return self.rows.span * self.columns.span

    @property
    def budget(self) -> int:
        return CACHED_BYTES if self.device.type == 'cpu' else ACCELERATOR_BYTES

    def bands(self, query_bytes: int) -> Iterator[slice]:
        """Rows of tiles; query_bytes: of all heads at one position."""
        most = self.budget // (self.columns.count * self.queries * query_bytes)
        return even_parts(self.batch * self.rows.count, max(1, most))

    def chunks(self, band: slice, key_bytes: int) -> Iterator[tuple[slice, slice, slice]]:
        """Rows and columns of tiles, and which part of the band's tiles and heads they are.

        Several whole rows or part of one, so that their tiles follow each other; key_bytes: of one position's key and
        value, all heads.
        """
        most, across = max(1, self.budget // (self.keys * key_bytes)), self.columns.count
        for rows in even_parts(band.stop - band.start, max(1, most // across)):
            for columns in even_parts(across, most):
                first = (rows.start * across + columns.start) * self.heads
                count = (rows.stop - rows.start) * (columns.stop - columns.start) * self.heads
                yield slice(band.start + rows.start, band.start + rows.stop), columns, slice(first, first + count)

    def query_index(self, rows: Tensor, steps: tuple[int, ...]) -> TileIndex:
        return tile_index(self, self.rows.queries, self.columns.queries, len(rows), steps)

    def key_index(self, rows: Tensor, steps: tuple[int, ...]) -> TileIndex:
        return tile_index(self, self.rows.keys, self.columns.keys, len(rows), steps)

    def put(self, tiles: Tensor, band: slice, out: Tensor) -> None:
        """Copies a band's tiles (n*h, Nq, d) to their positions in `out` (B, H, W, h, d), each once."""
        rows, starts = band_rows(self, band.start, band.stop)
        index = starts[:, None, None] + self.places  # (rows, W, h)
        found = tiles.flatten(0, 1).index_select(0, index.flatten())
        out.view(out.shape[0] * out.shape[1], -1).index_copy_(0, rows, found.view(len(rows), -1))

    @cached_property
    def image_rows(self) -> Tensor:
        """The one of the B * H rows of all maps that each row of a tile is, (B*r, T)."""
        images = torch.arange(self.batch, device=CPU)[:, None, None] * len(self.rows.slots)
        return (images + self.rows.queries).flatten(0, 1)

    @cached_property
    def owned_rows(self) -> Tensor:
        return self.rows.owned.repeat(self.batch, 1)  # (B*r, T)

    @cached_property
    def places(self) -> Tensor:
        """Where each column's query is in a row of tiles, (W, h)."""
        tile, place = self.columns.slots // self.columns.tile, self.columns.slots % self.columns.tile
        head = tile[:, None] * self.heads + torch.arange(self.heads, device=CPU)
        dtype = index_type(self.batch * self.rows.count * self.columns.count * self.heads * self.queries)
        return (head * self.queries + place[:, None]).to(self.device, dtype)

    def drop_repeated(self, tiles: Tensor, band: slice) -> None:
        """Zeroes those of a band's queries (n*h, Nq, d) that only fill their tiles."""
        owned = self.owned_rows[band][:, None, None, :, None] & self.columns.owned[:, None, None, :]
        if not owned.all():
            owned = owned.expand(-1, -1, self.heads, -1, -1).reshape(len(tiles), -1, 1)
            tiles.masked_fill_(~owned.to(self.device), 0)

    @cached_property
    def mask_index(self) -> Tensor:
        """The index into `masks` of each tile, (B*r, c)."""
        rows = self.rows.mask_index.repeat(self.batch) * len(self.columns.offsets)
        return (rows[:, None] + self.columns.mask_index).to(self.device)

    @cached_property
    def mask_entries(self) -> Tensor:
        """The masks that occur as entries of a flat position bias, the one behind its end outside, (m, 1, Nk*Nq)."""
        row = self.rows.offsets[:, None, :, None, :, None]
        column = self.columns.offsets[None, :, None, :, None, :]
        side = 2 * self.kernel_size - 1
        entries = torch.where((row < 0) | (column < 0), side**2, row * side + column)  # (m, m, S, S, T, T)
        return entries.flatten(2).flatten(0, 1)[:, None].to(self.device)

    def masks(self, bias: Tensor) -> Tensor:
        """(m, h, Nk*Nq): the bias (h, 2k-1, 2k-1) inside the neighborhoods, else -inf."""
        flat = F.pad(bias.flatten(1), (0, 1), value=-math.inf).expand(len(self.mask_entries), -1, -1)
        return flat.gather(2, self.mask_entries.expand(-1, len(bias), -1))

    def masks_backward(self, grad: Tensor) -> Tensor:
        """The gradient of the bias (h, 2k-1, 2k-1) from that of `masks`."""
        side = 2 * self.kernel_size - 1
        flat = grad.new_zeros(*grad.shape[:2], side**2 + 1)
        flat.scatter_add_(2, self.mask_entries.expand_as(grad), grad)
        return flat.sum(0)[:, :-1].unflatten(1, (side, side))

    def copy_masks(self, masks: Tensor, chosen: Tensor) -> Tensor:
        """New masks (n*h, Nk, Nq) of tiles whose `mask_index` is `chosen` (n,)."""
        return masks.index_select(0, chosen).expand(-1, self.heads, -1).reshape(-1, self.keys, self.queries)


@lru_cache(maxsize=128)
def map_tiles(
    shape: tuple[int, int, int, int],
    key_size: tuple[int, int],
    kernel_size: int,
    dilation: tuple[int, int],
    device: torch.device,
) -> MapTiles:
    """The tiles of queries (B, H, W, h) that attend to keys of maps as large or larger."""
    batch, *size, heads = shape
    axes = zip(size, key_size, dilation, strict=True)
    rows, columns = (tile_axis(length, keys, kernel_size, step) for length, keys, step in axes)
    return MapTiles(rows, columns, batch, heads, kernel_size, device)


@lru_cache(maxsize=128)
def tile_index(tiles: MapTiles, rows: Tensor, columns: Tensor, count: int, steps: tuple[int, ...]) -> TileIndex:
    """The index of positions rows (r, T) and columns (c, T) of tiles, in maps that are `count` rows with such steps."""
    images, heads = torch.arange(tiles.batch, device=CPU) * steps[0], torch.arange(tiles.heads, device=CPU) * steps[3]
    down = (images[:, None, None] + rows * steps[1]).flatten(0, 1)
    across = columns[:, None, :] * steps[2] + heads[:, None]
    return TileIndex(down.to(tiles.device, index_type(count)), across.to(tiles.device, index_type(count)))


@lru_cache(maxsize=128)
def band_rows(tiles: MapTiles, start: int, stop: int) -> tuple[Tensor, Tensor]:
    """Rows of all maps whose queries are in some rows of tiles, and where in these each begins, both (rows,)."""
    owned = tiles.owned_rows[start:stop]  # (rows of tiles, T)
    first = torch.arange(stop - start, device=CPU)[:, None] * (tiles.columns.count * tiles.heads * tiles.queries)
    starts = first + torch.arange(tiles.rows.tile, device=CPU) * tiles.columns.tile
    rows = tiles.image_rows[start:stop][owned]
    return rows.to(tiles.device), starts[owned].to(tiles.device, tiles.places.dtype)


def head_rows(*maps: Tensor) -> tuple[list[Tensor], tuple[int, ...]]:
    """Maps (B, H, W, h, d) of one shape as rows (R, d), each of one head at one position.

    Returns them and how many rows lie between images, rows of the map, positions and heads. They are copied only where
    their strides differ or are no multiples of d.
    """
    width, strides = maps[0].shape[4], maps[0].stride()
    if any(x.stride() != strides for x in maps) or strides[4] != 1 or any(stride % width for stride in strides[:4]):
        maps = tuple(x.contiguous() for x in maps)
    steps = tuple(stride // width for stride in maps[0].stride()[:4])
    count = 1 + sum((size - 1) * step for size, step in zip(maps[0].shape[:4], steps, strict=True))
    return [x.as_strided((count, width), (width, 1)) for x in maps], steps


def index_type(count: int) -> torch.dtype:
    """The narrowest type that numbers `count` rows: half the bytes count where rows are short."""
    return torch.int32 if count < 2**31 else torch.int64


def even_parts(count: int, most: int) -> Iterator[slice]:
    """0 .. count-1 in as few parts as hold `most` each, of lengths as even as may be."""
    step = -(-count // -(-count // most))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))
