"""Near-duplicates: images that look alike after another size, compression or brightness, found by fingerprints.

The hash is that of low frequencies: of a gray 32 x 32 image, which of the 8 x 8 lowest cosine coefficients are above
their median. Hashes that differ in few bits name candidates, and a small image decides.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

SIDE, LOW = 32, 8
LUMA = np.array([0.114, 0.587, 0.299], np.float32)
MOST_BITS = 8
"""Bits of 64 by which the hashes of near-duplicates may differ."""
LEAST_CORRELATION = 0.92
"""Of the small images of near-duplicates."""
BANDS = MOST_BITS + 1
REDUCED = 1 << 20
"""Bytes of a file from which it is decoded at a quarter of its size."""


class Fingerprint(NamedTuple):
    """hash: 64 bits; small: 32 x 32 gray values, float32, of mean 0 and norm 1 (0 everywhere for a plain image)."""

    hash: int
    small: np.ndarray


def fingerprint(image: np.ndarray) -> Fingerprint:
    """The fingerprint of an image, (H, W) or (H, W, channels), of any type; three channels are B, G, R."""
    small = cv2.resize(image.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    if small.ndim == 3:
        small = small @ LUMA if small.shape[2] == 3 else small.mean(2)
    low = cv2.dct(small)[:LOW, :LOW].ravel()
    bits = low > float(np.median(low[1:].tolist()))
    small = small - small.mean()
    norm = float(np.linalg.norm(small))
    flat = norm < SIDE  # a deviation of less than one gray value
    return Fingerprint(int(np.packbits(bits).view('>u8')[0]), small * 0 if flat else small / norm)


def fingerprint_of_file(path: str | Path) -> Fingerprint | None:
    """The fingerprint of an image file; None for one that cannot be decoded."""
    large = Path(path).stat().st_size > REDUCED
    image = cv2.imread(str(path), cv2.IMREAD_REDUCED_GRAYSCALE_4 if large else cv2.IMREAD_GRAYSCALE)
    return None if image is None else fingerprint(image)


def near_pairs(prints: Mapping[str, Fingerprint]) -> Iterator[tuple[str, str]]:
    """Pairs of names whose images are near-duplicates, each pair once, in the order of the names given.

    Hashes that differ in at most `MOST_BITS` bits agree in one of `MOST_BITS` + 1 bands of bits, so only names that
    share a band are compared.
    """
    place = {name: i for i, name in enumerate(prints)}
    buckets: dict[tuple[int, int], list[str]] = defaultdict(list)
    for name, mark in prints.items():
        for band in range(BANDS):
            low, high = 64 * band // BANDS, 64 * (band + 1) // BANDS
            buckets[band, mark.hash >> low & (1 << high - low) - 1].append(name)
    seen = set()
    for names in buckets.values():
        for first, second in combinations(names, 2):
            if (first, second) not in seen and are_near(prints[first], prints[second]):
                seen.add((first, second))
    yield from sorted(seen, key=lambda pair: (place[pair[0]], place[pair[1]]))


def are_near(first: Fingerprint, second: Fingerprint) -> bool:
    if (first.hash ^ second.hash).bit_count() > MOST_BITS:
        return False
    return float(np.vdot(first.small, second.small)) >= LEAST_CORRELATION


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
