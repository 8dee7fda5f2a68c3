"""Image and video files: one reader with one set of limits, metadata, formats, TIFF files larger than memory.

`reading.read_image` reads, `formats.write_picture` writes. This module imports nothing: commands look up the limits
before they load an image library.
"""
