"""What grounds and things are made of: reliefs, patterns and pigments.

A relief is the height of a surface, (H, W); light turns it into shading. A pattern says where a surface has its first
colour (0) and where its second (1). Grounds and things draw their pigments from one distribution, so that a pixel's
colour says next to nothing about its class.

Legend: u, v (H, W) coordinates in pixels along and across the material.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

Relief = Callable[[Generator, int], np.ndarray]
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
ODDITY = 0.25  # how often something comes in a colour of something else


def blur(field: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(field, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) if sigma > 0 else field


def noise(rng: Generator, size: int, cell: float) -> np.ndarray:
    """Smooth noise with features of about `cell` pixels: (size, size), mean about 0, deviation about 1/2."""
    count = max(2, round(size / cell) + 1)
    return cv2.resize(rng.uniform(-1, 1, (count, count)), (size, size), interpolation=cv2.INTER_CUBIC)


def turned_grid(rng: Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates u, v of a plane that is turned at random and a little uneven."""
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[:size, :size] + rng.uniform(size, 2 * size, (2, 1, 1))
    y, x = y + noise(rng, size, size / 3), x + noise(rng, size, size / 3)
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def pigment(rng: Generator, usual: np.ndarray) -> np.ndarray:
    """One colour, (R, G, B) in [0, 1]: most often near one of the `usual` ones, (n, 3)."""
    choice = PIGMENTS if rng.random() < ODDITY else usual
    return np.clip(choice[rng.integers(len(choice))] * rng.uniform(0.75, 1.1) + rng.normal(0, 0.03, 3), 0.03, 0.97)


def lit(relief: np.ndarray, light: np.ndarray, strength: float) -> np.ndarray:
    """Shading of a surface, about 1: brighter where it faces `light`, the direction (x, y) the light comes from."""
    slope_y, slope_x = np.gradient(relief)
    return np.clip(1 - strength * (slope_x * light[0] + slope_y * light[1]), 0.3, 1.9)


def pebbles(rng: Generator, size: int) -> np.ndarray:
    """Rounded stones: a dome over each cell of a jittered grid's Voronoi diagram."""
    pitch = rng.uniform(7, 11)
    y, x = np.mgrid[pitch / 2 : size : pitch, pitch / 2 : size : pitch]
    jitter = rng.uniform(-0.42, 0.42, (2, *x.shape)) * pitch
    seeds = np.ones((size, size), np.uint8)
    rows, columns = (np.clip(np.rint(at), 0, size - 1).astype(int) for at in (y + jitter[0], x + jitter[1]))
    seeds[rows, columns] = 0
    _, cell = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    same = np.ones((size, size), np.uint8)
    same[:, 1:] &= cell[:, 1:] == cell[:, :-1]
    same[1:] &= cell[1:] == cell[:-1]
    edge = cv2.distanceTransform(same, cv2.DIST_L2, 5).astype(np.float64)
    dome = np.sqrt(np.minimum(edge / (pitch * 0.5), 1))
    return blur(dome, 0.7) + rng.uniform(-0.35, 0.35, int(cell.max()) + 1)[cell] * (edge > 0)


def planks(rng: Generator, size: int) -> np.ndarray:
    """Boards with seams and grain along them."""
    u, v = turned_grid(rng, size)
    width, length = rng.uniform(14, 22), rng.uniform(60, 110)
    board, across = np.divmod(v / width, 1)
    tone = rng.uniform(-0.25, 0.25, 64)[board.astype(int) % 64]
    along = (u / length + rng.uniform(0, 1, 64)[board.astype(int) % 64]) % 1
    seam = np.minimum(np.minimum(across, 1 - across) * width, np.minimum(along, 1 - along) * length)
    grain = np.sin(v * rng.uniform(1.1, 1.6) + 2.5 * np.sin(u / rng.uniform(14, 24) + 1.7 * board))
    return tone + 0.22 * grain + 0.8 * np.clip(seam / 1.6, 0, 1)


def weave(rng: Generator, size: int) -> np.ndarray:
    """Strands that pass over and under each other."""
    u, v = turned_grid(rng, size)
    pitch = rng.uniform(5.5, 8)
    over = (np.floor(u / pitch) + np.floor(v / pitch)) % 2
    strand_u, strand_v = np.abs(np.sin(np.pi * u / pitch)), np.abs(np.sin(np.pi * v / pitch))
    return np.where(over > 0, strand_u * (0.6 + 0.4 * strand_v), 0.8 * strand_v * (0.6 + 0.4 * strand_u))


GROUNDS: dict[str, tuple[Relief, np.ndarray]] = {
    'pebbles': (pebbles, STONES),
    'planks': (planks, WOODS),
    'weave': (weave, FIBRES),
}


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
    wave = u / 9 + 2.2 * noise(rng, len(u), 22) + 1.1 * noise(rng, len(u), 9)
    return np.abs(np.sin(wave)) ** 0.6


PATTERNS: tuple[Pattern, ...] = (plain, plain, stripes, dots, checks, marble)
