# GiT for boxes and outlines.
_base_ = './git_detection.py'
rays = 24
network = dict(task='instance_segmentation')
