"""The arch record that most families' records extend."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DoublingArch:
    """width: channels of the first stage, doubled at each further one; depths: blocks of each stage."""

    width: int
    depths: tuple[int, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(self.width * 2**i for i in range(len(self.depths)))
