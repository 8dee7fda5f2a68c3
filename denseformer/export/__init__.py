"""Writing a trained model as one file that runs without its code, and running such a file."""

from denseformer.export.exporting import (
    Export,
    Exportable,
    export,
    exportable_query_model,
    exportable_restorer,
    exportable_segmentor,
)

__all__ = [
    'Export',
    'Exportable',
    'export',
    'exportable_query_model',
    'exportable_restorer',
    'exportable_segmentor',
]
