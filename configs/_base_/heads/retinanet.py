# RetinaNet, https://arxiv.org/abs/1708.02002, on a feature pyramid of strides 8 to 128.
# Needs of the other bases: backbone (channels and strides follow from it), num_classes.
_base_ = './parts/pyramid.py'
pyramid_strides = [8, 16, 32, 64, 128]
anchor_scale = 4  # side of the smallest anchors in strides
find_unused_parameters = True  # the pyramid leaves out a backbone's map at stride 4, and with it that map's norm
model = dict(
    type='RetinaNet',
    neck=dict(extra_convs=True),
    bbox_head=dict(
        type='RetinaHead',
        num_classes='${num_classes}',
        in_channels='${pyramid}',
        feat_channels='${pyramid}',
        stacked_convs=4,
        anchor_generator=dict(
            type='AnchorGenerator',
            octave_base_scale='${anchor_scale}',
            scales_per_octave=3,
            ratios=[0.5, 1.0, 2.0],
            strides='${pyramid_strides}',
        ),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=[1.0] * 4),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0),
    ),
    train_cfg=dict(
        assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0, ignore_iof_thr=-1),
        sampler=dict(type='PseudoSampler'),  # focal loss takes all anchors
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
    test_cfg=dict(
        nms_pre=1000, min_bbox_size=0, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100
    ),
)
