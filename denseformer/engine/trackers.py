"""Experiment trackers: `trackers = ['tensorboard', 'wandb', 'mlflow']` in a config sends its log to them."""

import os
from importlib.util import find_spec

from mmengine.config import Config
from mmengine.visualization import WandbVisBackend

from denseformer.config.errors import ConfigError
from denseformer.registry import VISBACKENDS

TRACKERS = {
    'tensorboard': 'TensorboardVisBackend',
    'wandb': 'denseformer.WandbTracker',
    'mlflow': 'MLflowVisBackend',
}
"""The package to import -> the component that writes to it."""


@VISBACKENDS.register_module()
class WandbTracker(WandbVisBackend):
    """mmengine's, which uploads every Python file below the current folder, a virtual environment's too."""

    def add_config(self, config: Config) -> None:
        self.experiment.config.update(config.to_dict())


def add_trackers(config: Config) -> None:
    """Let the run write to the services in `trackers` beside its own log. Raises ConfigError when one is not there."""
    names = [config.trackers] if isinstance(config.trackers, str) else config.trackers
    for name in names:
        if name not in TRACKERS:
            raise ConfigError(f"trackers: there is no '{name}'; there are {', '.join(TRACKERS)}.")
        if find_spec(name) is None:
            raise ConfigError(f"trackers: {name} is not installed: pip install 'denseformer[tracking]'.")
    server = {'mlflow': {'tracking_uri': os.environ.get('MLFLOW_TRACKING_URI')}}
    backends = [dict(type=TRACKERS[name], **server.get(name, {})) for name in names]
    visualizer = config.get('visualizer') or dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
    config.visualizer = {**visualizer, 'vis_backends': [*visualizer['vis_backends'], *backends]}
