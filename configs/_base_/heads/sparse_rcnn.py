# Sparse R-CNN, https://arxiv.org/abs/2011.12450: a few hundred learned boxes, refined six times, without suppression.
# Boxes may reach over the border of an image.
# Needs of the other bases: backbone (channels and strides follow from it; none coarser than 32), num_classes.
_base_ = './parts/pyramid.py'
pyramid_strides = [4, 8, 16, 32]
num_queries = 300  # the most boxes in an image
_stages = 6
_box_head = dict(
    type='DIIHead',
    num_classes='${num_classes}',
    in_channels='${pyramid}',
    dynamic_conv_cfg=dict(
        type='DynamicConv',
        in_channels='${pyramid}',
        feat_channels=64,
        out_channels='${pyramid}',
        input_feat_shape=7,
        norm_cfg=dict(type='LN'),
    ),
    bbox_coder=dict(type='DeltaXYWHBBoxCoder', clip_border=False, target_stds=[0.5, 0.5, 1.0, 1.0]),
    loss_cls=dict(type='FocalLoss', use_sigmoid=True, loss_weight=2.0),
    loss_bbox=dict(type='L1Loss', loss_weight=5.0),
    loss_iou=dict(type='GIoULoss', loss_weight=2.0),
)
_costs = [
    dict(type='FocalLossCost', weight=2.0),
    dict(type='BBoxL1Cost', weight=5.0),
    dict(type='IoUCost', iou_mode='giou', weight=2.0),
]
_train = dict(
    assigner=dict(type='HungarianAssigner', match_costs=_costs), sampler=dict(type='PseudoSampler'), pos_weight=1
)
model = dict(
    type='SparseRCNN',
    rpn_head=dict(type='EmbeddingRPNHead', num_proposals='${num_queries}', proposal_feature_channel='${pyramid}'),
    roi_head=dict(
        type='SparseRoIHead',
        num_stages=_stages,
        stage_loss_weights=[1] * _stages,
        proposal_feature_channel='${pyramid}',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=2),
            featmap_strides='${pyramid_strides}',
            out_channels='${pyramid}',
        ),
        bbox_head=[_box_head] * _stages,
    ),
    train_cfg=dict(rpn=None, rcnn=[_train] * _stages),
    test_cfg=dict(rpn=None, rcnn=dict(max_per_img='${num_queries}')),
)
