"""Materials of grounds and things: reliefs, patterns and pigments.

A relief is the height of a surface, (H, W); light turns it into shading. A profile is the relief of a thing, made from
each pixel's depth: its distance from the thing's edge. A pattern says where a surface has its first color (0) and
where its second (1). Grounds prefer some pigments and things some patterns, and neither keep to them: a pixel's color
hints at whether it is a ground's or a thing's, and does not tell which thing's.

Legend: u, v (H, W) coordinates in pixels along and across the material.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

Shape = tuple[int, int]
Relief = Callable[[Generator, Shape], np.ndarray]
Profile = Callable[[Generator, np.ndarray], np.ndarray]
Pattern = Callable[[Generator, np.ndarray, np.ndarray], np.ndarray]

# (R, G, B). Paint is what things come in, whatever their shape.
PAINTS = np.array(
    [
        (204, 58, 48), (228, 120, 48), (240, 190, 60), (126, 176, 62), (46, 150, 92), (40, 158, 168),
        (44, 102, 190), (112, 76, 172), (206, 84, 146), (238, 150, 150), (240, 236, 224), (58, 60, 72),
    ]
) / 255  # fmt: skip
STONES = np.array([(150, 148, 142), (116, 122, 130), (176, 164, 146), (98, 94, 92), (138, 150, 156)]) / 255
WOODS = np.array([(150, 100, 62), (112, 74, 48), (186, 138, 88), (126, 88, 72), (88, 62, 46)]) / 255
FIBRES = np.array([(206, 192, 158), (158, 156, 104), (122, 130, 84), (184, 160, 120), (140, 76, 74)]) / 255
PIGMENTS = np.concatenate([PAINTS, STONES, WOODS, FIBRES])
ODDITY = 0.12  # how often something comes in a color of something else


def blur(field: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(field, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) if sigma > 0 else field


def noise(rng: Generator, shape: Shape, cell: float) -> np.ndarray:
    """Smooth noise with features of about `cell` pixels: (H, W), mean about 0, deviation about 1/2."""
    counts = [max(2, round(side / cell) + 1) for side in shape]
    return cv2.resize(rng.uniform(-1, 1, counts), shape[::-1], interpolation=cv2.INTER_CUBIC)


def turned_grid(rng: Generator, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates u, v of a plane that is rotated at random and a little uneven."""
    angle, cell = rng.uniform(0, np.pi), max(shape) / 3
    y, x = np.mgrid[: shape[0], : shape[1]] + rng.uniform(100, 300, (2, 1, 1))
    y, x = y + noise(rng, shape, cell), x + noise(rng, shape, cell)
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def pigment(rng: Generator, usual: np.ndarray) -> np.ndarray:
    """One color, (R, G, B) in [0, 1]: most often near one of the `usual` ones, (n, 3)."""
    choice = PIGMENTS if rng.random() < ODDITY else usual
    return np.clip(choice[rng.integers(len(choice))] * rng.uniform(0.85, 1.1) + rng.normal(0, 0.03, 3), 0.03, 0.97)


def lit(relief: np.ndarray, light: np.ndarray, strength: float) -> np.ndarray:
    """Shading of a surface, about 1: brighter where it faces `light`, the direction (x, y) the light comes from."""
    slope_y, slope_x = np.gradient(relief)
    return np.clip(1 - strength * (slope_x * light[0] + slope_y * light[1]), 0.3, 1.9)


def pebbles(rng: Generator, shape: Shape) -> np.ndarray:
    """Rounded stones: a dome over each cell of a jittered grid's Voronoi diagram."""
    pitch = rng.uniform(9, 14)
    y, x = np.mgrid[pitch / 2 : shape[0] : pitch, pitch / 2 : shape[1] : pitch]
    jitter = rng.uniform(-0.42, 0.42, (2, *x.shape)) * pitch
    seeds = np.ones(shape, np.uint8)
    rows = np.clip(np.rint(y + jitter[0]), 0, shape[0] - 1).astype(int)
    columns = np.clip(np.rint(x + jitter[1]), 0, shape[1] - 1).astype(int)
    seeds[rows, columns] = 0
    _, cell = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    same = np.ones(shape, np.uint8)
    same[:, 1:] &= cell[:, 1:] == cell[:, :-1]
    same[1:] &= cell[1:] == cell[:-1]
    edge = cv2.distanceTransform(same, cv2.DIST_L2, 5).astype(np.float64)
    dome = np.sqrt(np.minimum(edge / (pitch * 0.5), 1))
    return blur(dome, 0.7) + rng.uniform(-0.35, 0.35, int(cell.max()) + 1)[cell] * (edge > 0)


def planks(rng: Generator, shape: Shape) -> np.ndarray:
    """Boards with seams and grain along them."""
    u, v = turned_grid(rng, shape)
    width, length = rng.uniform(15, 24), rng.uniform(60, 110)
    board, across = np.divmod(v / width, 1)
    tone = rng.uniform(-0.25, 0.25, 64)[board.astype(int) % 64]
    along = (u / length + rng.uniform(0, 1, 64)[board.astype(int) % 64]) % 1
    seam = np.minimum(np.minimum(across, 1 - across) * width, np.minimum(along, 1 - along) * length)
    grain = np.sin(v * rng.uniform(1.1, 1.6) + 2.5 * np.sin(u / rng.uniform(14, 24) + 1.7 * board))
    return tone + 0.22 * grain + 0.8 * np.clip(seam / 1.6, 0, 1)


def weave(rng: Generator, shape: Shape) -> np.ndarray:
    """Strands that pass over and under each other."""
    u, v = turned_grid(rng, shape)
    pitch = rng.uniform(7, 10)
    over = (np.floor(u / pitch) + np.floor(v / pitch)) % 2
    strand_u, strand_v = np.abs(np.sin(np.pi * u / pitch)), np.abs(np.sin(np.pi * v / pitch))
    return np.where(over > 0, strand_u * (0.6 + 0.4 * strand_v), 0.8 * strand_v * (0.6 + 0.4 * strand_u))


GROUNDS: dict[str, tuple[Relief, np.ndarray]] = {
    'pebbles': (pebbles, STONES),
    'planks': (planks, WOODS),
    'weave': (weave, FIBRES),
}


def flat(rng: Generator, depth: np.ndarray) -> np.ndarray:
    """A slab with a bevelled edge."""
    return 1.6 * np.minimum(depth / rng.uniform(2, 4), 1)


def roof(rng: Generator, depth: np.ndarray) -> np.ndarray:
    """Facets that rise from the edges and meet in ridges."""
    return rng.uniform(0.7, 1.0) * depth


def dome(rng: Generator, depth: np.ndarray) -> np.ndarray:
    """A cushion, round from edge to edge."""
    height = depth.max()
    return rng.uniform(0.5, 0.7) * np.sqrt(np.maximum(depth * (2 * height - depth), 0))


def pitted(rng: Generator, depth: np.ndarray) -> np.ndarray:
    """A slab with hollows."""
    hollows = np.clip(2.5 * noise(rng, depth.shape, 7) - 0.3, 0, 1)
    return flat(rng, depth) - 1.6 * hollows


PROFILES: dict[str, Profile] = {'star': roof, 'heart': dome, 'ring': dome, 'cross': flat, 'moon': pitted}


def plain(rng: Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.zeros_like(u)


def stripes(rng: Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.clip(np.sin(u * 2 * np.pi / rng.uniform(5, 12)) * 3, -0.5, 0.5) + 0.5


def dots(rng: Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    pitch = rng.uniform(6, 11)
    return np.clip((np.sin(u * 2 * np.pi / pitch) * np.sin(v * 2 * np.pi / pitch) - 0.35) * 4, 0, 1)


def checks(rng: Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    pitch = rng.uniform(8, 14)
    return np.clip(np.sin(u * 2 * np.pi / pitch) * np.sin(v * 2 * np.pi / pitch) * 6, -0.5, 0.5) + 0.5


def marble(rng: Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    wave = u / 9 + 2.2 * noise(rng, u.shape, 22) + 1.1 * noise(rng, u.shape, 9)
    return np.abs(np.sin(wave)) ** 0.6


PATTERNS: dict[str, Pattern] = {'star': stripes, 'heart': dots, 'ring': checks, 'cross': plain, 'moon': marble}
WHIM = 0.15  # how often a thing wears any of the patterns


def pattern(rng: Generator, name: str, shape: Shape) -> np.ndarray:
    """The pattern of a thing called `name`, (H, W): most often that of its class."""
    choice = list(PATTERNS)[rng.integers(len(PATTERNS))] if name not in PATTERNS or rng.random() < WHIM else name
    return PATTERNS[choice](rng, *turned_grid(rng, shape))
