# RCNet, https://arxiv.org/abs/2110.12130: its pyramid before the head of Generalized Focal Loss,
# https://arxiv.org/abs/2006.04388. Needs of the other bases: backbone with a map at stride 8 (channels and strides follow
# from it), num_classes.
_base_ = '../heads/parts/detector.py'
pyramid = 256  # channels of every level
pyramid_strides = [8, 16, 32, 64, 128]
find_unused_parameters = True  # the pyramid leaves out the map at stride 4
model = dict(
    type='GFL',
    neck=dict(
        type='denseformer.RCFPN',
        in_channels='${channels}',
        in_strides='${strides}',
        out_channels='${pyramid}',
        out_strides='${pyramid_strides}',
        norm_cfg=dict(type='BN', requires_grad=True),
    ),
    bbox_head=dict(
        type='GFLHead',
        num_classes='${num_classes}',
        in_channels='${pyramid}',
        stacked_convs=4,
        feat_channels='${pyramid}',
        reg_max=16,
        anchor_generator=dict(
            type='AnchorGenerator',
            ratios=[1.0],
            octave_base_scale=8,
            scales_per_octave=1,
            strides='${pyramid_strides}',
        ),
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0, loss_weight=1.0),
        loss_dfl=dict(type='DistributionFocalLoss', loss_weight=0.25),
        loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
    ),
    train_cfg=dict(assigner=dict(type='ATSSAssigner', topk=9), allowed_border=-1, pos_weight=-1),
    test_cfg=dict(
        score_thr=0.05, min_bbox_size=0, nms_pre=1000, nms=dict(type='nms', iou_threshold=0.6), max_per_img=100
    ),
)
