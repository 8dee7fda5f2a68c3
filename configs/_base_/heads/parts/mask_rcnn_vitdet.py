# Mask R-CNN as ViTDet has it: two convolutions for proposals, four for boxes, LayerNorm in the heads, its own pyramid.
# Batches are filled up to squares of the side that image_scale begins with, to which position tables fit.
_base_ = '../mask_rcnn.py'
_norm = dict(type='denseformer.LayerNorm2d', eps=1e-6)
model = dict(
    data_preprocessor=dict(pad_size_divisor='${image_scale[0]}'),
    neck=dict(type='denseformer.SimpleFeaturePyramid'),
    rpn_head=dict(num_convs=2),
    roi_head=dict(
        bbox_head=dict(type='Shared4Conv1FCBBoxHead', conv_out_channels='${pyramid}', norm_cfg=_norm),
        mask_head=dict(norm_cfg=_norm),
    ),
)
