"""Near-duplicates: images that look alike after another size, compression or brightness, found by fingerprints.

The hash is that of low frequencies: of a gray 32 x 32 image, which of the 8 x 8 lowest cosine coefficients are above
their median. Hashes that differ in few bits name candidates, and a small image decides.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

SIDE, LOW, SMALL = 32, 8, 16
LUMA = np.array([0.114, 0.587, 0.299], np.float32)
MOST_BITS = 8
"""Bits of 64 by which the hashes of near-duplicates may differ."""
LEAST_CORRELATION = 0.92
"""Correlation of the small images of near-duplicates, at least."""
BANDS = MOST_BITS + 1
REDUCED = 1 << 20
"""Bytes of a file from which it is decoded at a quarter of its size."""


class Fingerprint(NamedTuple):
    """hash: 64 bits; small: 16 x 16 gray values, float16, of mean 0 and norm 1 (0 everywhere for a plain image)."""

    hash: int
    small: np.ndarray


def fingerprint(image: np.ndarray) -> Fingerprint:
    """The fingerprint of an image, (H, W) or (H, W, channels), of any type; three channels are B, G, R."""
    small = cv2.resize(image.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    if small.ndim == 3:
        small = small @ LUMA if small.shape[2] == 3 else small.mean(2)
    low = cv2.dct(small)[:LOW, :LOW].ravel()
    bits = low > float(np.median(low[1:].tolist()))
    small = cv2.resize(small, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    small = small - small.mean()
    norm = float(np.linalg.norm(small))
    flat = norm < SMALL  # a deviation of less than one gray value
    return Fingerprint(int(np.packbits(bits).view('>u8')[0]), (small * 0 if flat else small / norm).astype(np.float16))


def fingerprint_of_file(path: str | Path) -> Fingerprint | None:
    """The fingerprint of an image file; None for one that cannot be decoded."""
    try:
        large = Path(path).stat().st_size > REDUCED
    except OSError:
        return None
    image = cv2.imread(str(path), cv2.IMREAD_REDUCED_GRAYSCALE_4 if large else cv2.IMREAD_GRAYSCALE)
    return None if image is None else fingerprint(image)


def near_pairs(prints: Mapping[str, Fingerprint]) -> Iterator[tuple[str, str]]:
    """Pairs of names whose images are near-duplicates, each pair once, in the order of the names given.

    Hashes that differ in at most `MOST_BITS` bits agree in one of `MOST_BITS` + 1 bands of bits, so only names that
    share a band are compared. Plain images are near to none.
    """
    names = [name for name, mark in prints.items() if mark.small.any()]
    hashes = np.array([prints[name].hash for name in names], np.uint64)
    found: set[tuple[int, int]] = set()
    for band in range(BANDS):
        low, high = 64 * band // BANDS, 64 * (band + 1) // BANDS
        keys = hashes >> np.uint64(low) & np.uint64((1 << high - low) - 1)
        order = np.argsort(keys, kind='stable')
        for bucket in np.split(order, np.flatnonzero(np.diff(keys[order])) + 1):
            for place, first in enumerate(bucket[:-1], 1):
                others = bucket[place:]
                near = others[np.bitwise_count(hashes[others] ^ hashes[first]) <= MOST_BITS]
                found.update((int(first), int(second)) for second in near)
    pairs = ((names[first], names[second]) for first, second in sorted(found))
    return (pair for pair in pairs if are_near(prints[pair[0]], prints[pair[1]]))


def are_near(first: Fingerprint, second: Fingerprint) -> bool:
    if (first.hash ^ second.hash).bit_count() > MOST_BITS:
        return False
    return float(np.vdot(first.small.astype(np.float32), second.small.astype(np.float32))) >= LEAST_CORRELATION


def near_groups(prints: Mapping[str, Fingerprint]) -> list[list[str]]:
    """The names in groups: near-duplicates of near-duplicates are in one, all others alone."""
    parent = {name: name for name in prints}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    for first, second in near_pairs(prints):
        parent[root(second)] = root(first)
    groups: dict[str, list[str]] = defaultdict(list)
    for name in prints:
        groups[root(name)].append(name)
    return list(groups.values())
