"""Training without labels: masked images (SimMIM), and registers by self-distillation (PH-Reg).

The network that is trained is the model's `backbone`, so a checkpoint starts a segmentor or detector by `--load-from`.
"""

from denseformer.pretraining.registers import RegisterDistillation
from denseformer.pretraining.simmim import SimMIM

__all__ = ['RegisterDistillation', 'SimMIM']
