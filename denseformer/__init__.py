"""denseformer: attention backbones and restoration networks for dense prediction, on the OpenMMLab stack.

Importing this package registers the scope `denseformer` with mmengine and nothing more: the components
themselves are imported when a config first names one of them.
"""

from denseformer import registry

__all__ = ['__version__', 'registry']
__version__ = '0.1.0'
