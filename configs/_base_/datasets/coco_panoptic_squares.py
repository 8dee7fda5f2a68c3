# The photographs of coco_panoptic.py, tested on squares that they are resized to fit and filled up to.
_base_ = ['./coco_panoptic.py', './parts/squares.py']
test_pipeline = '${padded_pipeline}'
image_scale = '${crop_size}'
