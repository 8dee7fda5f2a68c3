# Cascade Mask R-CNN, https://arxiv.org/abs/1906.09756, with the box heads that attention backbones publish with: four
# convolutions and one linear layer, GIoU loss on the boxes themselves.
_base_ = './mask_rcnn.py'
_box_head = dict(
    type='ConvFCBBoxHead',
    num_shared_convs=4,
    num_shared_fcs=1,
    norm_cfg=dict(type='BN'),
    in_channels='${pyramid}',
    conv_out_channels='${pyramid}',
    num_classes='${num_classes}',
    reg_decoded_bbox=True,
    loss_bbox=dict(type='GIoULoss', loss_weight=10.0),
)
_train_objects = dict(
    sampler=dict(type='RandomSampler', num=512, pos_fraction=0.25),
    pos_weight=-1,
    mask_size=28,
)
# Each stage refines the boxes of the one before: a stricter overlap makes a box positive, a smaller error counts.
_overlaps = 0.5, 0.6, 0.7
match_low_quality = False  # whether an object without such a box takes the best one
_scales = [0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067]
model = dict(
    type='CascadeRCNN',
    rpn_head=dict(loss_bbox=dict(type='SmoothL1Loss', beta=1 / 9)),
    roi_head=dict(
        type='CascadeRoIHead',
        num_stages=3,
        stage_loss_weights=[1, 0.5, 0.25],
        bbox_head=[
            dict(_box_head, bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=scales)) for scales in _scales
        ],
    ),
    train_cfg=dict(
        rpn=dict(allowed_border=0),
        rpn_proposal=dict(max_per_img=2000),
        rcnn=[
            dict(
                _train_objects,
                assigner=dict(
                    type='MaxIoUAssigner',
                    neg_iou_thr=overlap,
                    pos_iou_thr=overlap,
                    min_pos_iou=overlap,
                    match_low_quality='${match_low_quality}',
                ),
            )
            for overlap in _overlaps
        ],
    ),
)
