"""Optical flow: how far each pixel moves to the next frame, read from files or computed, and shown as colors.

Flow is (H, W, 2) float32, to the right and downwards in pixels.
"""

from pathlib import Path

import cv2
import numpy as np

from denseformer.images.reading import read_bytes

FLO_MAGIC = 202021.25
"""The first number of a Middlebury .flo file."""
UNKNOWN = 1e9
"""Larger displacements mark pixels without flow, as the Middlebury files have it."""
WHEEL = ((15, 0, 1), (6, 1, 0), (4, 1, 2), (11, 2, 1), (13, 2, 0), (6, 0, 2))
"""The steps from color to color around the Middlebury wheel: (steps, channel at its most, channel that changes)."""


def read_flo(path: str | Path) -> np.ndarray:
    """The flow in a Middlebury .flo file, (H, W, 2).

    Raises ValueError for a file that is none, or cut off.
    """
    data = read_bytes(path, 'flow')
    if len(data) < 12 or np.frombuffer(data[:4], '<f4')[0] != FLO_MAGIC:
        raise ValueError(f"'{path}' is no .flo file of optical flow: it does not begin with {FLO_MAGIC}.")
    W, H = np.frombuffer(data[4:12], '<i4').tolist()
    if len(data) != 12 + 8 * H * W:
        raise ValueError(f"'{path}' has {len(data)} bytes; a flow of {H} x {W} (H x W) takes {12 + 8 * H * W}.")
    return np.frombuffer(data[12:], '<f4').reshape(H, W, 2)


def dis_flow(frame: np.ndarray, following: np.ndarray) -> np.ndarray:
    """The flow from a frame to the next by dense inverse search, https://arxiv.org/abs/1603.03590.

    frame, following: (H, W, 3), B, G, R in 0 .. 255 -> (H, W, 2). Frames of fewer than 16 pixels a side do not move.
    Raises ValueError for frames of two sizes.
    """
    if frame.shape != following.shape:
        raise ValueError(f'The frames are {frame.shape[:2]} and {following.shape[:2]} (H, W); flow needs one size.')
    if min(frame.shape[:2]) < 16:
        return np.zeros((*frame.shape[:2], 2), np.float32)
    before, after = (cv2.cvtColor(np.ascontiguousarray(each), cv2.COLOR_BGR2GRAY) for each in (frame, following))
    start: np.ndarray = np.zeros((*frame.shape[:2], 2), np.float32)
    return np.asarray(cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(before, after, start))


def color_wheel() -> np.ndarray:
    """The colors of the Middlebury wheel, (55, 3), R, G, B in 0 .. 255, beginning with the flow to the left."""
    colors, color = [], np.array([255.0, 0.0, 0.0])
    for steps, full, changing in WHEEL:
        rising = color[changing] == 0
        for step in range(steps):
            share = np.floor(255 * step / steps)
            color[full], color[changing] = 255, share if rising else 255 - share
            colors.append(color.copy())
        color[changing] = 255 if rising else 0
    return np.array(colors)


def flow_colors(flow: np.ndarray) -> np.ndarray:
    """Flow (H, W, 2) as an image (H, W, 3) uint8, R, G, B: hue for the direction, saturation for the length.

    The longest displacement of the image has full saturation, none is white, and unknown ones are black.
    """
    known = (np.abs(flow) < UNKNOWN).all(-1)
    dx, dy = np.where(known[..., None], flow, 0).astype(np.float64).transpose(2, 0, 1)
    length = np.hypot(dx, dy)
    length = length / max(length.max(), 1e-5)
    wheel = color_wheel() / 255
    place = (np.arctan2(-dy, -dx) / np.pi + 1) / 2 * (len(wheel) - 1)
    low = np.floor(place).astype(int)
    share = (place - low)[..., None]
    color = (1 - share) * wheel[low] + share * wheel[(low + 1) % len(wheel)]
    color = 1 - length[..., None] * (1 - color)
    return np.where(known[..., None], np.floor(255 * color), 0).astype(np.uint8)
