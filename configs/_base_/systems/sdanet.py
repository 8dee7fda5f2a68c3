# SDANet, https://arxiv.org/abs/2211.10763, of two stages: Cascade Mask R-CNN with its pyramid, which tells first whether an
# image holds anything. Needs of the other bases: backbone of four maps at strides 4 to 32, num_classes.
_base_ = '../heads/cascade_mask_rcnn.py'
_scales = [0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067]
model = dict(
    type='denseformer.PresenceCascadeRCNN',
    presence_channels='${pyramid}',
    neck=dict(
        _delete_=True, type='denseformer.AttFPN', in_channels='${channels}', out_channels='${pyramid}', num_outs=5
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
