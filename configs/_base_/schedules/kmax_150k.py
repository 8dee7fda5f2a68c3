# kMaX-DeepLab's recipe on COCO, on crops of 1281 x 1281 out of images of a fifth to twice that size.
_base_ = './kmax_100k.py'
max_iters = 150_000
crop_size = (1281, 1281)
scale_range = (0.2, 2.0)
pasted_range = (0.1, 1.0)
augmentation = '${pasting}'
