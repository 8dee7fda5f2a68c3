# Cascade Mask R-CNN, https://arxiv.org/abs/1906.09756, with the box heads that attention backbones publish with: four
# convolutions and one linear layer, GIoU loss on the boxes themselves.
_base_ = './mask_rcnn.py'
_deltas = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4)
_sampler = dict(type='RandomSampler', num=512, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True)
_head = dict(
    type='ConvFCBBoxHead',
    num_shared_convs=4,
    num_shared_fcs=1,
    in_channels='${pyramid}',
    conv_out_channels='${pyramid}',
    fc_out_channels=1024,
    roi_feat_size=7,
    num_classes='${num_classes}',
    reg_class_agnostic=False,
    reg_decoded_bbox=True,
    norm_cfg=dict(type='BN'),
    loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    loss_bbox=dict(type='GIoULoss', loss_weight=10.0),
)
_stds = ([0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067])
_assigner = dict(type='MaxIoUAssigner', match_low_quality=False, ignore_iof_thr=-1)
_stage = dict(sampler=_sampler, mask_size=28, pos_weight=-1, debug=False)
model = dict(
    type='CascadeRCNN',
    rpn_head=dict(loss_bbox=dict(type='SmoothL1Loss', beta=1 / 9)),
    roi_head=dict(
        type='CascadeRoIHead',
        num_stages=3,
        stage_loss_weights=[1, 0.5, 0.25],
        bbox_head=[dict(_head, bbox_coder=dict(_deltas, target_stds=stds)) for stds in _stds],
    ),
    train_cfg=dict(
        rpn=dict(allowed_border=0),
        rpn_proposal=dict(max_per_img=2000),
        rcnn=[
            dict(_stage, assigner=dict(_assigner, pos_iou_thr=iou, neg_iou_thr=iou, min_pos_iou=iou))
            for iou in (0.5, 0.6, 0.7)
        ],
    ),
)
