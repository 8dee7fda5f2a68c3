"""The outlines of the things: pure geometry.

An outline is a list of loops, each (N, 2) vertices x, y; a point is inside where an odd number of loops surround it.
The outlines of `OUTLINES` fill the unit circle; their proportions vary with the generator they are given.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

Outline = list[np.ndarray]
Window = tuple[slice, slice]

OVERSAMPLING = 4


def polar(angles: np.ndarray, radii: np.ndarray | float) -> np.ndarray:
    """(N, 2) points at `angles` in radians and `radii` from the origin."""
    return np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=1)


def arc(start: float, stop: float, radius: float = 1.0, count: int = 40) -> np.ndarray:
    return polar(np.linspace(start, stop, count), radius)


def star(rng: Generator) -> Outline:
    tips = 5
    radii = np.where(np.arange(2 * tips) % 2, rng.uniform(0.4, 0.5), 1.0)
    return [polar(np.arange(2 * tips) * np.pi / tips - np.pi / 2, radii)]


def heart(rng: Generator) -> Outline:
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - rng.uniform(4.5, 5.5) * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return [np.stack([x, -y - 2.5], axis=1) / 17]


def ring(rng: Generator) -> Outline:
    return [arc(0, 2 * np.pi), arc(0, 2 * np.pi, rng.uniform(0.42, 0.6))]


def cross(rng: Generator) -> Outline:
    arm = rng.uniform(0.26, 0.36)
    corner = np.array([[1, -arm], [1, arm], [arm, arm]])
    quarter_turns = [np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) for a in np.arange(4) * np.pi / 2]
    return [np.concatenate([corner @ turn for turn in quarter_turns])]


def moon(rng: Generator) -> Outline:
    """The unit disc without a disc that covers its right side."""
    shift, radius = rng.uniform(0.45, 0.6), 0.82
    x = (1 + shift**2 - radius**2) / (2 * shift)  # where the two circles meet
    outer, inner = np.arccos(x), np.arctan2(np.sqrt(1 - x**2), x - shift)
    bite = arc(2 * np.pi - inner, inner, radius) + np.array([shift, 0])
    return [np.concatenate([arc(outer, 2 * np.pi - outer), bite])]


def chip(rng: Generator) -> Outline:
    """An irregular splinter, which belongs to no class."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, 7))
    return [polar(angles, rng.uniform(0.55, 1.0, 7))]


def twig(rng: Generator) -> Outline:
    """A thin bent stick, which belongs to the ground it lies on."""
    x = np.linspace(-1, 1, 9)
    spine = np.stack([x, rng.uniform(-0.2, 0.2) * x**2], axis=1)
    side = np.array([0, rng.uniform(0.03, 0.06)])
    return [np.concatenate([spine - side, spine[::-1] + side])]


OUTLINES: dict[str, Callable[[Generator], Outline]] = {
    'star': star,
    'heart': heart,
    'ring': ring,
    'cross': cross,
    'moon': moon,
}


def pose(outline: Outline, *, center: np.ndarray, radius: float, angle: float, stretch: float) -> Outline:
    """`outline` stretched along one axis, turned by `angle` and laid on the plane."""
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return [loop * [stretch, 1 / stretch] @ turn * radius + center for loop in outline]


def window(outline: Outline, size: int, margin: float) -> Window:
    """The rows and columns of a picture that hold `outline` and `margin` pixels around it; at least one of each."""
    points = np.concatenate(outline)
    low = np.clip(np.floor(points.min(axis=0) - margin), 0, size - 1).astype(int)
    high = np.clip(np.ceil(points.max(axis=0) + margin), low + 1, size).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])


def coverage(outline: Outline, where: Window) -> np.ndarray:
    """The share of each pixel of a window that lies inside, in [0, 1]. Pixel (0, 0) spans 0 .. 1 in x and in y."""
    inside = 240  # a multiple of OVERSAMPLING squared, so that the mean of a pixel's samples is a whole number
    rows, columns = where
    height, width = rows.stop - rows.start, columns.stop - columns.start
    fine = np.zeros((height * OVERSAMPLING, width * OVERSAMPLING), np.uint8)
    corner = np.array([columns.start, rows.start])
    loops = [np.rint((loop - corner) * OVERSAMPLING - 0.5).astype(np.int32) for loop in outline]
    cv2.fillPoly(fine, loops, inside)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA) / inside
