# Detectors with one anchor at each place, on a feature pyramid of strides 8 to 128; the anchors around an object that
# learn it are chosen by the statistics of their overlaps, https://arxiv.org/abs/1912.02424.
# Needs of the other bases: backbone (channels and strides follow from it), num_classes.
_base_ = './pyramid.py'
pyramid_strides = [8, 16, 32, 64, 128]
anchor_scale = 8  # side of the anchors in strides
find_unused_parameters = True  # the pyramid leaves out a backbone's map at stride 4, and with it that map's norm
_anchors = dict(
    type='AnchorGenerator',
    strides='${pyramid_strides}',
    octave_base_scale='${anchor_scale}',
    scales_per_octave=1,
    ratios=[1.0],
)
model = dict(
    neck=dict(extra_convs='of_level'),
    bbox_head=dict(
        in_channels='${pyramid}',
        feat_channels='${pyramid}',
        stacked_convs=4,
        norm_cfg=dict(type='GN', num_groups=32),
        num_classes='${num_classes}',
        anchor_generator=_anchors,
        loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
    ),
    train_cfg=dict(assigner=dict(type='ATSSAssigner', topk=9), allowed_border=-1, pos_weight=-1),
    test_cfg=dict(
        score_thr=0.05, min_bbox_size=0, nms_pre=1000, nms=dict(type='nms', iou_threshold=0.6), max_per_img=100
    ),
)
