"""The hooks of a run, by their names in `default_hooks` and `custom_hooks` of a config."""

from denseformer.engine.hooks.auxiliary_losses import AuxiliaryLossHook
from denseformer.engine.hooks.checkpoint import CheckpointHook
from denseformer.engine.hooks.feature_cache import FeatureCacheHook
from denseformer.engine.hooks.fit_stitches import FitStitchesHook
from denseformer.engine.hooks.mask_annealing import MaskAnnealingHook
from denseformer.engine.hooks.nan_guard import NaNGuardHook
from denseformer.engine.hooks.patience import PatienceHook
from denseformer.engine.hooks.preemption import PreemptionHook
from denseformer.engine.hooks.progress import ProgressHook
from denseformer.engine.hooks.restored_images import RestoredImagesHook
from denseformer.engine.hooks.validation_loss import ValidationLossHook

__all__ = [
    'AuxiliaryLossHook',
    'CheckpointHook',
    'FeatureCacheHook',
    'FitStitchesHook',
    'MaskAnnealingHook',
    'NaNGuardHook',
    'PatienceHook',
    'PreemptionHook',
    'ProgressHook',
    'RestoredImagesHook',
    'ValidationLossHook',
]
