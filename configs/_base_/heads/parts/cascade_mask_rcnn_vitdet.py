# Cascade Mask R-CNN as ViTDet has it: boxes whatever the class, smooth losses of their offsets.
# Batches are filled up to squares of the side that image_scale begins with, to which position tables fit.
_base_ = '../cascade_mask_rcnn.py'
_norm = dict(type='denseformer.LayerNorm2d', eps=1e-6)
_box_head = dict(
    type='Shared4Conv1FCBBoxHead',
    in_channels='${pyramid}',
    conv_out_channels='${pyramid}',
    num_classes='${num_classes}',
    norm_cfg=_norm,
    reg_class_agnostic=True,
    loss_bbox=dict(type='L1Loss'),
)
_scales = [0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067]
model = dict(
    data_preprocessor=dict(pad_size_divisor='${image_scale[0]}'),
    neck=dict(type='denseformer.SimpleFeaturePyramid'),
    rpn_head=dict(num_convs=2, loss_bbox=dict(_delete_=True, type='L1Loss')),
    roi_head=dict(
        bbox_head=[
            dict(_box_head, bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=scales)) for scales in _scales
        ],
        mask_head=dict(norm_cfg=_norm),
    ),
)
