"""From a folder of images and labels to a dataset: what is in it, how it is split, and the base that configs build on.

`understand` recognises a folder or a data file, `write_dataset` writes what today's datasets read, `dataset_base` does
both for a data file that a config names as its base.
"""

from denseformer.folders.data_file import DataFile, read_data_file
from denseformer.folders.found import TASKS, Found, Sample, Thing
from denseformer.folders.listing import FolderError, Listing
from denseformer.folders.recognizing import understand
from denseformer.folders.writing import dataset_base, write_dataset

__all__ = [
    'TASKS',
    'DataFile',
    'FolderError',
    'Found',
    'Listing',
    'Sample',
    'Thing',
    'dataset_base',
    'read_data_file',
    'understand',
    'write_dataset',
]
