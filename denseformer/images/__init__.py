"""Image and video files: one reader with one set of limits, metadata, formats, TIFF files larger than memory."""

from denseformer.images.picture import Picture
from denseformer.images.reading import MAX_PIXELS, decode_image, read_image

__all__ = ['MAX_PIXELS', 'Picture', 'decode_image', 'read_image']
