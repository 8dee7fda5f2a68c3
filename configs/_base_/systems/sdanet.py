# SDANet, https://arxiv.org/abs/2211.10763, of two stages: Cascade Mask R-CNN with its pyramid, which tells first whether an
# image holds anything. Needs of the other bases: backbone (channels and strides follow from it), num_classes; for one
# without a map at stride 4 pyramid_strides, which begin at that of its finest.
_base_ = '../heads/cascade_mask_rcnn.py'
_scales = [0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067]
model = dict(
    type='denseformer.PresenceCascadeRCNN',
    presence_channels='${pyramid}',
    neck=dict(
        _delete_=True,
        type='denseformer.AttFPN',
        in_channels='${channels}',
        in_strides='${strides}',
        out_channels='${pyramid}',
        out_strides='${pyramid_strides}',
        num_outs=5,
    ),
    roi_head=dict(
        bbox_head=[
            dict(
                type='Shared2FCBBoxHead',
                in_channels='${pyramid}',
                num_classes='${num_classes}',
                reg_class_agnostic=True,
                bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=scales),
                loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0),
            )
            for scales in _scales
        ]
    ),
)
