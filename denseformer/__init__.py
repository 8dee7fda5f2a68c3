"""denseformer: attention backbones and restoration networks for dense prediction, on the OpenMMLab stack.

Importing this package registers the scope `denseformer` with mmengine, answers for mmcv's operators where they were not
compiled, and does nothing more: components and operators are imported when they are first asked for.
"""

from denseformer import registry
from denseformer.ops import mmcv_import as finder

__all__ = ['__version__', 'registry']
__version__ = '0.1.0'

finder.install()
