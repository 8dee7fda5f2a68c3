# Mask R-CNN as ViTDet has it: two convolutions for proposals, four for boxes, LayerNorm in the heads, its own pyramid.
_base_ = '../mask_rcnn.py'
_norm = dict(type='denseformer.LayerNorm2d', eps=1e-6)
model = dict(
    neck=dict(type='denseformer.SimpleFeaturePyramid'),
    rpn_head=dict(num_convs=2),
    roi_head=dict(
        bbox_head=dict(type='Shared4Conv1FCBBoxHead', conv_out_channels='${pyramid}', norm_cfg=_norm),
        mask_head=dict(norm_cfg=_norm),
    ),
)
