"""Training without labels: masked images (SimMIM, MAE), registers by self-distillation (PH-Reg), locality alignment.

The network that is trained is the model's `backbone`, so a checkpoint starts a segmentor or detector by `--load-from`.
"""

from denseformer.pretraining.locality import LocalityAlignment
from denseformer.pretraining.mae import MAE
from denseformer.pretraining.registers import RegisterDistillation
from denseformer.pretraining.simmim import SimMIM

__all__ = ['MAE', 'LocalityAlignment', 'RegisterDistillation', 'SimMIM']
