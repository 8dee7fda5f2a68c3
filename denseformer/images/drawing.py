"""Drawing predictions over images."""

import colorsys
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]
LegendEntry = tuple[str, Color]
"""An entry of a legend: a name and its color."""
SMALLEST_FONT = 11
"""Size of the smallest letters that can be read, in pixels."""


def overlay(image: np.ndarray, mask: np.ndarray, palette: Sequence[Color], opacity: float) -> Image.Image:
    """`image` (H, W, 3), R, G, B, tinted by the classes of `mask` (H, W), with their borders."""
    colors = np.asarray(palette, np.uint8)[mask]  # (H, W, 3)
    blended = cv2.addWeighted(image, 1 - opacity, colors, opacity, 0)
    blended[borders(mask)] = 255
    return Image.fromarray(blended)


def borders(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels whose right or lower neighbor is of another class."""
    edge = np.zeros(mask.shape, bool)
    edge[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    edge[:-1] |= mask[:-1] != mask[1:]
    return edge


def with_legend(picture: Image.Image, entries: Sequence[LegendEntry]) -> Image.Image:
    """`picture` above a legend."""
    return stacked(picture, legend(entries, picture.width, font_size(picture.width)))


def frame_legend(entries: Sequence[LegendEntry], width: int, height: int) -> Image.Image:
    """A legend for all frames (height, width) of a video: at most a third as high, while its letters can be read."""
    size = font_size(width)
    while 3 * (strip := legend(entries, width, size)).height > height and size > SMALLEST_FONT:
        size -= 1
    return strip


def font_size(width: int) -> int:
    """The size of a legend's letters in an image of this width, in pixels."""
    return max(SMALLEST_FONT, width // 45)


def legend(entries: Sequence[LegendEntry], width: int, size: int) -> Image.Image:
    """A strip of colored squares and names, with letters of `size` pixels, in as many lines as they need."""
    font = ImageFont.load_default(size)
    gap = size // 2
    lines: list[list[tuple[int, str, Color]]] = [[]]
    x = gap
    for name, color in entries:
        needed = size + gap // 2 + int(font.getlength(name)) + 2 * gap
        if lines[-1] and x + needed > width:
            lines.append([])
            x = gap
        lines[-1].append((x, name, color))
        x += needed
    pitch = size + gap
    strip = Image.new('RGB', (width, len(lines) * pitch + gap), 'white')
    draw = ImageDraw.Draw(strip)
    for i, line in enumerate(lines):
        y = gap + i * pitch
        for x, name, color in line:
            draw.rectangle((x, y, x + size - 1, y + size - 1), fill=color, outline='black')
            draw.text((x + size + gap // 2, y + size / 2), name, fill='black', font=font, anchor='lm')
    return strip


def stacked(picture: Image.Image, strip: Image.Image) -> Image.Image:
    """`picture` with a strip of its width below."""
    canvas = Image.new('RGB', (picture.width, picture.height + strip.height))
    canvas.paste(picture, (0, 0))
    canvas.paste(strip, (0, picture.height))
    return canvas


def spread_colors(count: int) -> list[Color]:
    """Colors that differ from their neighbors in the list: hues a golden angle apart, in two brightnesses."""
    hues = ((i * 0.61803 % 1, 0.65, 0.95 if i % 2 else 0.7) for i in range(count))
    rgb = np.array([colorsys.hsv_to_rgb(*hue) for hue in hues]).reshape(-1, 3)
    return [(int(r), int(g), int(b)) for r, g, b in 255 * rgb]


def draw_instances(
    image: np.ndarray,
    boxes: np.ndarray,
    names: Sequence[str] | None,
    colors: Sequence[Color],
    masks: Iterable[np.ndarray] | None,
) -> Image.Image:
    """`image` (H, W, 3), R, G, B, with boxes (n, 4), a name beside each if given, and masks, n of (H, W), tinted."""
    picture = image.copy()
    for mask, color in zip(() if masks is None else masks, colors, strict=masks is not None):
        picture[mask] = picture[mask] * 0.5 + np.asarray(color) * 0.5
        picture[borders(mask)] = color
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    size = max(10, max(canvas.size) // 60)
    font = ImageFont.load_default(size)
    for (left, top, right, bottom), color in zip(boxes.tolist(), colors, strict=True):
        draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=color, width=max(1, size // 6))
    for (left, top, _, _), name, color in zip(boxes.tolist(), names or (), colors, strict=names is not None):
        width, height = font.getlength(name) + 4, size + 2
        x = max(0, min(left, canvas.width - width))  # the name stays in the picture
        y = top - height if top >= height else max(0, min(top, canvas.height - height))
        draw.rectangle((x, y, x + width, y + height), fill=color)
        draw.text((x + 2, y + 1), name, fill='black' if sum(color) > 380 else 'white', font=font)
    return canvas


def tinted(image: np.ndarray, panoptic: np.ndarray, colors: Sequence[Color]) -> np.ndarray:
    """`image` (H, W, 3) in the colors of the segments of `panoptic` (H, W), with their borders in white.

    panoptic: 0 for nothing, else indices from 1 into `colors`.
    """
    table = np.array([(0, 0, 0), *colors], np.uint8)
    mixed = image * 0.5 + table[panoptic] * 0.5
    picture = np.where((panoptic > 0)[..., None], mixed, image).astype(np.uint8)
    picture[borders(panoptic)] = 255
    return picture
