# Mask R-CNN, https://arxiv.org/abs/1703.06870, on a feature pyramid.
# Needs of the other bases: backbone (channels and strides follow from it), num_classes.
_base_ = './parts/pyramid.py'
pyramid_strides = [4, 8, 16, 32, 64]
anchor_scale = 8  # side of the anchors in strides
_deltas = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4)
_align = dict(
    type='SingleRoIExtractor',
    roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
    out_channels='${pyramid}',
    featmap_strides=[4, 8, 16, 32],
)
_nms = dict(type='nms', iou_threshold=0.7)
_assigner = dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5, ignore_iof_thr=-1)
model = dict(
    type='MaskRCNN',
    data_preprocessor=dict(pad_mask=True),
    rpn_head=dict(
        type='RPNHead',
        in_channels='${pyramid}',
        feat_channels='${pyramid}',
        anchor_generator=dict(
            type='AnchorGenerator', scales=['${anchor_scale}'], ratios=[0.5, 1.0, 2.0], strides='${pyramid_strides}'
        ),
        bbox_coder=dict(**_deltas, target_stds=[1.0] * 4),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0),
    ),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=_align,
        bbox_head=dict(
            type='Shared2FCBBoxHead',
            in_channels='${pyramid}',
            fc_out_channels=1024,
            roi_feat_size=7,
            num_classes='${num_classes}',
            bbox_coder=dict(**_deltas, target_stds=[0.1, 0.1, 0.2, 0.2]),
            reg_class_agnostic=False,
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0),
        ),
        mask_roi_extractor=dict(_align, roi_layer=dict(_align['roi_layer'], output_size=14)),
        mask_head=dict(
            type='FCNMaskHead',
            num_convs=4,
            in_channels='${pyramid}',
            conv_out_channels='${pyramid}',
            num_classes='${num_classes}',
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0),
        ),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(_assigner, pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3, match_low_quality=True),
            sampler=dict(type='RandomSampler', num=256, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        rpn_proposal=dict(nms_pre=2000, max_per_img=1000, nms=_nms, min_bbox_size=0),
        rcnn=dict(
            assigner=dict(_assigner, match_low_quality=True),
            sampler=dict(type='RandomSampler', num=512, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True),
            mask_size=28,
            pos_weight=-1,
            debug=False,
        ),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=1000, max_per_img=1000, nms=_nms, min_bbox_size=0),
        rcnn=dict(score_thr=0.05, nms=dict(_nms, iou_threshold=0.5), max_per_img=100, mask_thr_binary=0.5),
    ),
)
