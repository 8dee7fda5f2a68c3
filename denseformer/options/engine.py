"""Options of where the processes of a command run."""

from dataclasses import dataclass

from denseformer.options.fields import option


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """The choice of what starts the processes of a run. Raises ValueError for options that do not go together."""

    engine: str = option(
        'local', "where it runs: 'local', in this process, or 'ray', in processes of a Ray cluster",
        choices=('local', 'ray'),
    )  # fmt: skip
    workers: int | None = option(
        None,
        'processes of --engine ray; default: for prediction as many as there is room and work for, for training one '
        'for each GPU of the cluster',
        parse=int,
        metavar='N',
    )

    def __post_init__(self) -> None:
        if self.workers is not None and (self.engine != 'ray' or self.workers < 1):
            raise ValueError('--workers is for --engine ray, and at least 1.')
