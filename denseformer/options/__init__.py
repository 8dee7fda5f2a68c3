"""Options, each stated once: flags, help and Python signatures of prediction and training follow from these classes.

Nothing here imports PyTorch, so that a command can parse its line before PyTorch is loaded.
"""

from denseformer.options.fields import add_options, option, options_from, takes_options
from denseformer.options.prediction import PredictionOptions, RunOptions
from denseformer.options.training import EvaluationOptions, LaunchOptions, TrainOptions

__all__ = [
    'EvaluationOptions',
    'LaunchOptions',
    'PredictionOptions',
    'RunOptions',
    'TrainOptions',
    'add_options',
    'option',
    'options_from',
    'takes_options',
]
