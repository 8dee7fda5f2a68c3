"""The drawing of neighborhood attention's tiles.

`python -m tools.docs.tiles docs/images/neighborhood_tiles.svg` writes it.
"""

import sys
from pathlib import Path

KERNEL, TILE, MAP, CELL = 7, 4, 16, 14
FIRST = 6  # row and column of the tile's first query
SPAN = TILE + KERNEL - 1
MAP_COLOR, KEY_COLOR, QUERY_COLOR, ONE_COLOR, INK = '#eceff4', '#a9c7e8', '#27557f', '#d9822b', '#333'


def rectangle(x: float, y: float, width: float, height: float, fill: str, stroke: str = 'none') -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}" stroke="{stroke}" stroke-width="2"/>'


def square(column: int, row: int, side: int, fill: str, stroke: str = 'none') -> str:
    return rectangle(10 + column * CELL, 40 + row * CELL, side * CELL, side * CELL, fill, stroke)


def grid() -> list[str]:
    at = [position * CELL for position in range(MAP + 1)]
    lines = [f'M{10 + x} 40v{MAP * CELL}' for x in at] + [f'M10 {40 + y}h{MAP * CELL}' for y in at]
    return [f'<path d="{"".join(lines)}" stroke="#fff" stroke-width="1"/>']


def mask(left: float, top: float, cell: float) -> list[str]:
    """One row per query of the tile, one column per key of its span: filled where they attend."""
    shapes = [rectangle(left, top, SPAN**2 * cell, TILE**2 * 2 * cell, KEY_COLOR)]
    for query in range(TILE**2):
        row, column = divmod(query, TILE)
        color = ONE_COLOR if query == 0 else QUERY_COLOR
        for key_row in range(row, row + KERNEL):
            x = left + (key_row * SPAN + column) * cell
            shapes.append(rectangle(x, top + query * 2 * cell, KERNEL * cell, 2 * cell - 0.6, color))
    return shapes


def text(x: float, y: float, words: str) -> str:
    return f'<text x="{x}" y="{y}" font-family="sans-serif" font-size="13" fill="{INK}">{words}</text>'


def draw() -> str:
    halo = FIRST - KERNEL // 2
    shapes = [
        text(10, 24, f'{TILE} x {TILE} queries, the {SPAN} x {SPAN} keys they meet'),
        square(0, 0, MAP, MAP_COLOR),
        square(halo, halo, SPAN, KEY_COLOR),
        square(FIRST, FIRST, TILE, QUERY_COLOR),
        square(FIRST, FIRST, 1, ONE_COLOR),
        *grid(),
        square(halo, halo, KERNEL, 'none', ONE_COLOR),
        text(280, 24, f'one product of {TILE**2} x {SPAN**2}, masked outside each {KERNEL} x {KERNEL} neighborhood'),
        *mask(280, 40, 4.5),
        text(280, 215, 'Rows: queries. Columns: keys, row by row of the map. Light: masked.'),
        text(280, 235, 'Orange: the first query of the tile and its neighborhood.'),
    ]
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 745 275">{"".join(shapes)}</svg>\n'


if __name__ == '__main__':
    Path(sys.argv[1]).write_text(draw())
