"""The finished models that were published for shipped configs, by the configs' names."""

from pathlib import Path

from denseformer.checkpoints.addresses import CATALOG
from denseformer.checkpoints.catalog import catalog, of_config
from denseformer.config.shipped import config_names, find_config
from denseformer.suggestions import did_you_mean


def published_checkpoint(config: str | Path) -> str:
    """The address of the checkpoint that was published for a shipped config.

    Raises ValueError where there is none: for a config of the user's own, which needs its checkpoint named, and for a
    shipped one whose authors published no weights.
    """
    name = Path(config).stem
    if find_config(name) is None:
        hint = (
            f' As a file of weights it is called {CATALOG}{name}.'
            if name in catalog()
            else did_you_mean(name, config_names())
        )
        raise ValueError(f"'{config}' is no shipped config: name a checkpoint, too.{hint}")
    file = of_config(name)
    if file is None:
        raise ValueError(f"nobody published a checkpoint for '{name}': train it, or name a checkpoint of your own.")
    return f'{CATALOG}{file.name}'
