"""Run-length encoded masks as COCO writes them: lengths of runs down the columns, of 0 and of 1 in turn.

pycocotools decodes runs into memory that it does not clear, and never asks whether they reach the end of the mask.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

CONTINUES, SIGN, BITS = 0x20, 0x10, 5
"""Bits of a character of a compressed length, less 48: more follow, the number is negative, bits that each holds."""


def run_lengths(counts: Sequence[int] | str | bytes) -> np.ndarray:
    """The lengths (n,) int64 of an uncompressed list, or of COCO's compressed text.

    Raises ValueError for text that ends within a number, or that holds other characters.
    """
    if not isinstance(counts, (str, bytes)):
        return np.asarray(counts, np.int64).reshape(-1)
    text = counts.encode() if isinstance(counts, str) else counts
    codes = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if not codes.size:
        return codes
    last = (codes & CONTINUES) == 0
    if not last[-1] or codes.min() < 0 or codes.max() >= 2 * CONTINUES:
        raise ValueError('its compressed text is broken')
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)  # of a character within its number
    if place.max() > 62 // BITS:
        raise ValueError('its compressed text is broken')
    lengths = np.add.reduceat((codes & (CONTINUES - 1)) << (BITS * place), starts)
    lengths -= np.where(codes[ends] & SIGN, 1 << (BITS * (ends - starts + 1)), 0)
    # From the fourth on, a number is the difference from the one before the last.
    lengths[1::2] = lengths[1::2].cumsum()
    lengths[2::2] = lengths[2::2].cumsum()
    return lengths


def runs_fault(rle: Mapping[str, Any]) -> str:
    """Say what is wrong with a mask {'size': (H, W), 'counts': ...}; empty where its runs add up to its size."""
    try:
        height, width = (int(side) for side in rle['size'])
        lengths = run_lengths(rle['counts'])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        return f'no legal RLE ({error})'
    if lengths.size and lengths.min() < 0:
        return 'runs of negative length'
    if lengths.sum() != height * width:
        return f'runs of {lengths.sum()} pixels in all for a mask of {height} x {width} = {height * width}'
    return ''


def rle_area(rle: Mapping[str, Any]) -> int:
    """Number of pixels in a sound mask."""
    return int(run_lengths(rle['counts'])[1::2].sum())
