# RetinaNet, https://arxiv.org/abs/1708.02002, on a feature pyramid of strides 8 to 128.
# Needs of the other bases: backbone (channels and strides follow from it), num_classes.
_base_ = './parts/pyramid.py'
pyramid_strides = [8, 16, 32, 64, 128]
anchor_scale = 4  # side of the smallest anchors in strides
find_unused_parameters = True  # the pyramid leaves out a backbone's map at stride 4, and with it that map's norm
_anchors = dict(
    type='AnchorGenerator',
    strides='${pyramid_strides}',
    octave_base_scale='${anchor_scale}',
    scales_per_octave=3,
    ratios=[0.5, 1.0, 2.0],
)
model = dict(
    type='RetinaNet',
    neck=dict(extra_convs=True),
    bbox_head=dict(
        type='RetinaHead',
        in_channels='${pyramid}',
        feat_channels='${pyramid}',
        num_classes='${num_classes}',
        anchor_generator=_anchors,
        loss_cls=dict(type='FocalLoss', use_sigmoid=True),  # the head asks the config, not the loss
        loss_bbox=dict(type='L1Loss'),
    ),
    # Every anchor is trained on, those that leave the image too: focal loss balances them.
    train_cfg=dict(
        assigner=dict(type='MaxIoUAssigner', neg_iou_thr=0.4, pos_iou_thr=0.5), allowed_border=-1, pos_weight=-1
    ),
    test_cfg=dict(
        score_thr=0.05, min_bbox_size=0, nms_pre=1000, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100
    ),
)
