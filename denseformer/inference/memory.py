"""Free memory, the memory that a prediction takes, and retrying with smaller tiles when it runs out."""

import gc
import os
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.logging import MMLogger
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from denseformer.inference.tiling import Network, Tiling, assemble, predict_tiles, reader_of

GROUP = Path('/sys/fs/cgroup')
"""The folder in which Linux tells a process of its control group."""
MEMORY_SHARE = 0.5
"""The share of the free memory that a prediction may take; the rest is for reading and writing meanwhile."""


class OutOfMemoryRetry:
    """A network that halves its input when memory runs out, and keeps to the size that fitted.

    A batch is halved first; a single image is predicted in tiles, of half its size, a quarter ...

    Args:
        network: (B, C, H, W) -> (B, K, scale * H, scale * W).
        tiling: halving starts at its size for larger images; margin, fade and multiple are kept.
        scale: of the output.
    """

    def __init__(self, network: Network, tiling: Tiling, scale: int = 1):
        self.network = network
        self.tiling = tiling
        self.scale = scale
        self.limit: int | None = None
        """The longest side that is tried, once memory has run out."""

    def __call__(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K, scale * H, scale * W); raises MemoryError when not even the smallest tile fits."""
        side = max(images.shape[2:])
        if self.limit is None or side <= self.limit:
            output = attempt(self.network, images)
            if output is not None:
                return output
            if len(images) > 1:
                return torch.cat([self(half) for half in images.chunk(2)])
            self._shrink(side)
        return torch.stack([self._in_tiles(image) for image in images])

    def _shrink(self, side: int) -> None:
        while self.tiling.size >= side:
            smaller = self.tiling.halved()
            if smaller is None:
                raise MemoryError(f'An image of {side} pixels does not fit into memory, and cannot be cut any smaller.')
            self.tiling = smaller
        self.limit = self.tiling.size
        MMLogger.get_current_instance().warning(
            f'Out of memory at {side} pixels: continuing with tiles of {self.limit}.'
        )

    def _in_tiles(self, image: Tensor) -> Tensor:
        H, W = image.shape[1:]
        tiles = predict_tiles(self, reader_of(image), (H, W), self.tiling, scale=self.scale)
        return assemble(tiles, (H * self.scale, W * self.scale))


def attempt(network: Network, images: Tensor) -> Tensor | None:
    """The network's output, or None when memory runs out; its allocations are released then."""
    try:
        return network(images)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    gc.collect()
    if images.is_cuda or torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the CPU or a GPU."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def free_memory(device: torch.device) -> int:
    """Free bytes on a device; on CPU the smaller of the system's and those of the process's control group."""
    if device.type == 'cuda':
        return torch.cuda.mem_get_info(device)[0]
    if device.type != 'cpu':
        raise ValueError(f'The free memory of {device} is not known: give the size of the tiles, as in --tile 512.')
    return min(system_memory(), group_memory())


def system_memory() -> int:
    """Bytes that the system can give without swapping; half of all memory where it does not say."""
    table = Path('/proc/meminfo')
    if table.is_file():
        lines = dict(line.split(':') for line in table.read_text().splitlines())
        return int(lines['MemAvailable'].split()[0]) * 1024
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') // 2


def group_memory() -> int:
    """Bytes that the control group has left, cached files counted as free; without a limit, more than machines have."""
    limit = GROUP / 'memory.max'
    if not limit.is_file() or limit.read_text().strip() == 'max':
        return 1 << 62
    cached = dict(line.split() for line in (GROUP / 'memory.stat').read_text().splitlines())['inactive_file']
    return max(0, int(limit.read_text()) - int((GROUP / 'memory.current').read_text()) + int(cached))


def bytes_per_pixel(network: Callable[[Tensor], Tensor], probe: Tensor) -> float:
    """Peak memory of a prediction per pixel of its input, measured on `probe` (1, C, h, w)."""
    pixels = probe.shape[2] * probe.shape[3]
    if probe.is_cuda:
        torch.cuda.synchronize(probe.device)
        before = torch.cuda.memory_allocated(probe.device)
        torch.cuda.reset_peak_memory_stats(probe.device)
        network(probe)
        return (torch.cuda.max_memory_allocated(probe.device) - before) / pixels
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        network(probe)
    events = [event for event in record.profiler.kineto_results.events() if event.name() == '[memory]']
    peak = level = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        level += event.nbytes()
        peak = max(peak, level)
    return peak / pixels


def side_that_fits(network: Callable[[Tensor], Tensor], probe: Tensor, device: torch.device) -> int:
    """The side of the largest square that a prediction has memory for."""
    return int((MEMORY_SHARE * free_memory(device) / max(bytes_per_pixel(network, probe), 1)) ** 0.5)
