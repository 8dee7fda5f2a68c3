# DINOv2 that pads images on all sides, as its linear heads were trained.
_base_ = '../dinov2.py'
backbone = dict(center_pad=True)
