# Mask R-CNN, https://arxiv.org/abs/1703.06870, on a feature pyramid.
# Needs of the other bases: backbone (channels and strides follow from it), num_classes.
_base_ = './parts/pyramid.py'
pyramid_strides = [4, 8, 16, 32, 64]
anchor_scale = 8  # side of the anchors in strides

# 1. Proposals: one anchor of each shape at each place of each level.
_anchors = dict(
    type='AnchorGenerator', strides='${pyramid_strides}', scales=['${anchor_scale}'], ratios=[0.5, 1.0, 2.0]
)
_proposals = dict(min_bbox_size=0, nms_pre=1000, nms=dict(type='nms', iou_threshold=0.7), max_per_img=1000)
_train_proposals = dict(
    assigner=dict(type='MaxIoUAssigner', neg_iou_thr=0.3, pos_iou_thr=0.7, min_pos_iou=0.3),
    sampler=dict(type='RandomSampler', num=256, pos_fraction=0.5, add_gt_as_proposals=False),
    allowed_border=-1,
    pos_weight=-1,
)

# 2. Objects: features cut out at the proposals, 7 x 7 for their boxes and classes, 14 x 14 for their masks.
_features = dict(
    type='SingleRoIExtractor',
    roi_layer=dict(type='RoIAlign', output_size=7),
    featmap_strides=[4, 8, 16, 32],
    out_channels='${pyramid}',
)
_box_head = dict(
    type='Shared2FCBBoxHead',
    in_channels='${pyramid}',
    num_classes='${num_classes}',
    loss_bbox=dict(type='L1Loss'),
)
_mask_head = dict(
    type='FCNMaskHead',
    in_channels='${pyramid}',
    conv_out_channels='${pyramid}',
    num_classes='${num_classes}',
)
_train_objects = dict(
    assigner=dict(type='MaxIoUAssigner', neg_iou_thr=0.5, pos_iou_thr=0.5, min_pos_iou=0.5),
    sampler=dict(type='RandomSampler', num=512, pos_fraction=0.25),
    pos_weight=-1,
    mask_size=28,
)
_objects = dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100, mask_thr_binary=0.5)

model = dict(
    type='MaskRCNN',
    data_preprocessor=dict(pad_mask=True),
    rpn_head=dict(
        type='RPNHead',
        in_channels='${pyramid}',
        feat_channels='${pyramid}',
        anchor_generator=_anchors,
        loss_bbox=dict(type='L1Loss'),
    ),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=_features,
        bbox_head=_box_head,
        mask_roi_extractor=dict(_features, roi_layer=dict(_features['roi_layer'], output_size=14)),
        mask_head=_mask_head,
    ),
    train_cfg=dict(rpn=_train_proposals, rpn_proposal=dict(_proposals, nms_pre=2000), rcnn=_train_objects),
    test_cfg=dict(rpn=_proposals, rcnn=_objects),
)
