"""Parts of self-contained HTML pages: curves as inline SVG, tables, pictures as data URIs. Nothing is fetched."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT, MARGIN = 360, 150, 8
MOST_POINTS = 400
"""Points of a curve that are drawn, evenly picked."""
COLORS = ('#3b7dd8', '#d8743b', '#3ba55d', '#8e5cd0', '#c8402f')


def page(title: str, body: Iterable[str], *, refresh: int | None = None) -> str:
    """A whole page; refresh: seconds after which a browser reads it again."""
    again = f'<meta http-equiv="refresh" content="{refresh}">' if refresh else ''
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">{again}'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<title>{html.escape(title)}</title><style>{STYLE}</style></head>'
        f'<body><h1>{html.escape(title)}</h1>\n' + '\n'.join(body) + '\n</body></html>\n'
    )


def section(name: str, heading: str, *parts: str) -> str:
    """A part of a page under a heading, which `#name` leads to."""
    return f'<section id="{name}"><h2>{html.escape(heading)}</h2>' + ''.join(parts) + '</section>'


def figures(values: Mapping[str, Any]) -> str:
    """Numbers in boxes, the name of each below it."""
    boxes = (f'<div><b>{text(value)}</b><span>{html.escape(name)}</span></div>' for name, value in values.items())
    return '<div class="figures">' + ''.join(boxes) + '</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; cells that begin with '<' are markup, numbers are rounded, None is a dash."""
    cells = ''.join(f'<th>{html.escape(name)}</th>' for name in head)
    lines = ('<tr>' + ''.join(f'<td>{text(cell)}</td>' for cell in row) + '</tr>' for row in rows)
    return f'<table><tr>{cells}</tr>' + ''.join(lines) + '</table>'


def text(value: Any) -> str:
    """A value as markup."""
    if value is None:
        return '-'
    if isinstance(value, (float, np.floating)):
        return '-' if np.isnan(value) else number(float(value))
    if isinstance(value, (int, np.integer)):
        return f'{value:,}'
    return str(value) if str(value).startswith('<') else html.escape(str(value))


def number(value: float) -> str:
    """Four significant digits, without an exponent where that is short."""
    if value and not 1e-3 <= abs(value) < 1e6:
        return f'{value:.3g}'
    return f'{value:.4g}' if abs(value) < 1000 else f'{value:,.0f}'


def duration(seconds: float) -> str:
    """'2 h 05 min', '3 min 10 s' or '40 s'."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f'{hours} h {minutes:02} min' if hours else f'{minutes} min {rest:02} s' if minutes else f'{rest} s'


def curves(title: str, lines: Mapping[str, Points]) -> str:
    """One panel, (x, y) points per line, with the extremes at its axes and the last value of each line."""
    drawn = {name: thinned(points) for name, points in lines.items() if len(points)}
    xs = [x for points in drawn.values() for x, _ in points]
    ys = [y for points in drawn.values() for _, y in points if np.isfinite(y)]
    if not ys:
        return ''
    low, high, first, last = min(ys), max(ys), min(xs), max(xs)
    parts = []
    for (name, points), color in zip(drawn.items(), COLORS * len(drawn), strict=False):
        places = ' '.join(
            f'{at(x, first, last, WIDTH):.1f},{HEIGHT - at(y, low, high, HEIGHT):.1f}'
            for x, y in points
            if np.isfinite(y)
        )
        dots = ''
        if len(points) <= 40:
            dots = ''.join(
                f'<circle cx="{at(x, first, last, WIDTH):.1f}" cy="{HEIGHT - at(y, low, high, HEIGHT):.1f}" r="2.5" '
                f'fill="{color}"><title>{number(x)}: {number(y)}</title></circle>'
                for x, y in points
                if np.isfinite(y)
            )
        label = f'{name} {number(points[-1][1])}'
        parts.append(
            (
                f'<polyline points="{places}" stroke="{color}"/>{dots}',
                f'<i style="color:{color}">{html.escape(label)}</i>',
            )
        )
    return (
        f'<figure class="curve"><figcaption>{html.escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(lines for lines, _ in parts)}</svg>'
        f'<p class="axis"><span>{number(first)} .. {number(last)}</span>{" ".join(label for _, label in parts)}'
        f'<span>{number(low)} .. {number(high)}</span></p></figure>'
    )


def thinned(points: Points) -> Points:
    if len(points) <= MOST_POINTS:
        return points
    return [points[i] for i in np.linspace(0, len(points) - 1, MOST_POINTS).astype(int)]


def at(value: float, low: float, high: float, length: int) -> float:
    """The place of a value on an axis of `length`, within its margins."""
    return MARGIN + (length - 2 * MARGIN) * ((value - low) / (high - low) if high > low else 0.5)


def jpeg(picture: np.ndarray) -> bytes:
    """(H, W, 3) uint8, R, G, B -> the bytes of a JPEG file."""
    _, encoded = cv2.imencode('.jpg', np.ascontiguousarray(picture[..., ::-1]), (cv2.IMWRITE_JPEG_QUALITY, 82))
    return encoded.tobytes()


def image(source: np.ndarray | Path, caption: str = '') -> str:
    """A picture, or a JPEG file, within the page, above a caption."""
    data = source.read_bytes() if isinstance(source, Path) else jpeg(source)
    words = html.escape(caption)
    below = f'<figcaption>{words}</figcaption>' if caption else ''
    return f'<figure><img alt="{words}" src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">{below}</figure>'


def legend(entries: Iterable[tuple[str, Sequence[int]]]) -> str:
    """Names, each beside its color (R, G, B)."""
    chips = (f'<span><i style="background:rgb{tuple(color)}"></i>{html.escape(name)}</span>' for name, color in entries)
    return f'<p class="legend">{"".join(chips)}</p>'


STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1240px; margin: 2rem auto; padding: 0 1rem; }
h1 { margin: 0 0 1rem; font-size: 1.5rem; overflow-wrap: anywhere; } h2 { margin: 2.2rem 0 .6rem; font-size: 1.15rem; }
.figures { display: flex; flex-wrap: wrap; gap: .8rem; }
.figures div { border: 1px solid var(--line); border-radius: 8px; padding: .4rem 1rem; }
.figures b { font-size: 1.2rem; margin-right: .5rem; }
.curves, .images { display: grid; grid-template-columns: repeat(auto-fill, minmax(330px, 1fr)); gap: 1rem; }
.images { grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); }
figure { margin: 0; } figcaption { font-size: 13px; overflow-wrap: anywhere; }
svg { width: 100%; background: var(--soft); border-radius: 4px; } polyline { fill: none; stroke-width: 1.5; }
.curve svg { height: 150px; } .spark svg { height: 40px; } .spark .axis { display: none; }
.axis { display: flex; justify-content: space-between; flex-wrap: wrap; gap: .2rem 1rem; margin: 0; font-size: 12px; }
.axis i { font-style: normal; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: 13px; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .4em; border: 1px solid var(--line); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
td, th { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
img { max-width: 100%; border-radius: 4px; } td img { width: 150px; max-width: none; }
.note { color: #888; font-size: 13px; }
"""
