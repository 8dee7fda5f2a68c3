"""Drawing predictions over images."""

import colorsys
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Entry = tuple[str, Colour]
"""Of a legend: a name and its colour."""
SMALLEST = 11
"""Letters of a legend, in pixels, that can just be read."""


def overlay(image: np.ndarray, mask: np.ndarray, palette: Sequence[Colour], opacity: float) -> Image.Image:
    """`image` (H, W, 3), R, G, B, tinted by the classes of `mask` (H, W), with their borders."""
    colours = np.asarray(palette, np.uint8)[mask]  # (H, W, 3)
    blended = cv2.addWeighted(image, 1 - opacity, colours, opacity, 0)
    blended[borders(mask)] = 255
    return Image.fromarray(blended)


def borders(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels whose right or lower neighbour is of another class."""
    edge = np.zeros(mask.shape, bool)
    edge[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    edge[:-1] |= mask[:-1] != mask[1:]
    return edge


def with_legend(picture: Image.Image, entries: Sequence[Entry]) -> Image.Image:
    """`picture` above a legend."""
    return above(picture, legend(entries, picture.width, usual_size(picture.width)))


def frame_legend(entries: Sequence[Entry], width: int, height: int) -> Image.Image:
    """A legend for all frames (height, width) of a video: a third as high at most, unless it could not be read then."""
    size = usual_size(width)
    while 3 * (strip := legend(entries, width, size)).height > height and size > SMALLEST:
        size -= 1
    return strip


def usual_size(width: int) -> int:
    return max(SMALLEST, width // 45)


def legend(entries: Sequence[Entry], width: int, size: int) -> Image.Image:
    """A strip of coloured squares and names, `size` high, in as many lines as they need."""
    font = ImageFont.load_default(size)
    gap = size // 2
    lines: list[list[tuple[int, str, Colour]]] = [[]]
    x = gap
    for name, colour in entries:
        needed = size + gap // 2 + int(font.getlength(name)) + 2 * gap
        if lines[-1] and x + needed > width:
            lines.append([])
            x = gap
        lines[-1].append((x, name, colour))
        x += needed
    pitch = size + gap
    strip = Image.new('RGB', (width, len(lines) * pitch + gap), 'white')
    draw = ImageDraw.Draw(strip)
    for i, line in enumerate(lines):
        y = gap + i * pitch
        for x, name, colour in line:
            draw.rectangle((x, y, x + size - 1, y + size - 1), fill=colour, outline='black')
            draw.text((x + size + gap // 2, y + size / 2), name, fill='black', font=font, anchor='lm')
    return strip


def above(picture: Image.Image, strip: Image.Image) -> Image.Image:
    """`picture` with a strip of its width below."""
    canvas = Image.new('RGB', (picture.width, picture.height + strip.height))
    canvas.paste(picture, (0, 0))
    canvas.paste(strip, (0, picture.height))
    return canvas


def spread_colours(count: int) -> list[Colour]:
    """Colours that differ from their neighbours in the list: hues a golden angle apart, in two brightnesses."""
    hues = ((i * 0.61803 % 1, 0.65, 0.95 if i % 2 else 0.7) for i in range(count))
    rgb = np.array([colorsys.hsv_to_rgb(*hue) for hue in hues]).reshape(-1, 3)
    return [(int(r), int(g), int(b)) for r, g, b in 255 * rgb]


def draw_instances(
    image: np.ndarray,
    boxes: np.ndarray,
    names: Sequence[str],
    colours: Sequence[Colour],
    masks: Iterable[np.ndarray] | None,
) -> Image.Image:
    """`image` (H, W, 3), R, G, B, with boxes (n, 4), a name beside each, and masks, n of (H, W), tinted."""
    picture = image.copy()
    for mask, colour in zip(() if masks is None else masks, colours, strict=masks is not None):
        picture[mask] = picture[mask] * 0.5 + np.asarray(colour) * 0.5
        picture[borders(mask)] = colour
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    size = max(10, max(canvas.size) // 60)
    font = ImageFont.load_default(size)
    for (left, top, right, bottom), name, colour in zip(boxes.tolist(), names, colours, strict=True):
        draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=max(1, size // 6))
        width, height = font.getlength(name) + 4, size + 2
        x = max(0, min(left, canvas.width - width))  # the name stays in the picture
        y = top - height if top >= height else max(0, min(top, canvas.height - height))
        draw.rectangle((x, y, x + width, y + height), fill=colour)
        draw.text((x + 2, y + 1), name, fill='black' if sum(colour) > 380 else 'white', font=font)
    return canvas


def tinted(image: np.ndarray, panoptic: np.ndarray, colours: Sequence[Colour]) -> np.ndarray:
    """`image` (H, W, 3) in the colours of the segments of `panoptic` (H, W), with their borders in white.

    panoptic: 0 for nothing, else indices from 1 into `colours`.
    """
    table = np.array([(0, 0, 0), *colours], np.uint8)
    mixed = image * 0.5 + table[panoptic] * 0.5
    picture = np.where((panoptic > 0)[..., None], mixed, image).astype(np.uint8)
    picture[borders(panoptic)] = 255
    return picture
