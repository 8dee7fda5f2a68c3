# SDANet, https://arxiv.org/abs/2211.10763, of one stage: DDOD, https://arxiv.org/abs/2107.02963, with its pyramid, which
# tells first whether an image holds anything. Needs of the other bases: backbone with a map at stride 8 (channels and
# strides follow from it), num_classes.
_base_ = '../heads/parts/detector.py'
pyramid = 256  # channels of every level
pyramid_strides = [8, 16, 32, 64, 128]
find_unused_parameters = True  # the pyramid leaves out the map at stride 4
model = dict(
    type='denseformer.PresenceDDOD',
    presence_channels='${pyramid}',
    presence_level=-2,
    presence_weight=0.5,
    neck=dict(
        type='denseformer.AttFPN',
        in_channels='${channels}',
        in_strides='${strides}',
        out_channels='${pyramid}',
        out_strides='${pyramid_strides}',
        add_extra_convs='on_output',
        num_outs=5,
    ),
    bbox_head=dict(
        type='DDODHead',
        num_classes='${num_classes}',
        in_channels='${pyramid}',
        stacked_convs=4,
        feat_channels='${pyramid}',
        anchor_generator=dict(
            type='AnchorGenerator',
            ratios=[1.0],
            octave_base_scale=8,
            scales_per_octave=1,
            strides='${pyramid_strides}',
        ),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2]),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
        loss_iou=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
    ),
    train_cfg=dict(
        assigner=dict(type='ATSSAssigner', topk=9, alpha=0.8),
        reg_assigner=dict(type='ATSSAssigner', topk=9, alpha=0.5),
        allowed_border=-1,
        pos_weight=-1,
    ),
    test_cfg=dict(
        nms_pre=1000, min_bbox_size=0, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.6), max_per_img=100
    ),
)
