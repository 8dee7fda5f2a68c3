# The photographs of coco_instance.py, tested on squares that they are resized to fit and filled up to.
_base_ = ['./coco_instance.py', './parts/squares.py']
test_pipeline = '${padded_pipeline}'
image_scale = '${crop_size}'
