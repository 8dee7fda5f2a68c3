# The photographs of coco_instance.py, resized to fit the square that batches are filled up to.
_base_ = './coco_instance.py'
image_scale = (1024, 1024)
