# The transformer of Deformable DETR, https://arxiv.org/abs/2010.04159, and of those after it: attention to a few points
# of every level. Needs of the other bases: backbone (channels follow from it), num_classes.
_base_ = './detector.py'
feature_levels = 4  # the coarsest maps of the backbone, and one level coarser than they
num_queries = 300  # the most boxes in an image
encoder_layers = 6
decoder_layers = 6
feedforward = 1024
dropout = 0.1
find_unused_parameters = True  # a backbone's map at stride 4 is left out, and with it that map's norm
_to_points = dict(embed_dims=256, num_levels='${feature_levels}', dropout='${dropout}')
_feedforward = dict(embed_dims=256, feedforward_channels='${feedforward}', ffn_drop='${dropout}')
_costs = [
    dict(type='FocalLossCost', weight=2.0),
    dict(type='BBoxL1Cost', weight=5.0, box_format='xywh'),
    dict(type='IoUCost', weight=2.0),
]
model = dict(
    num_queries='${num_queries}',
    num_feature_levels='${feature_levels}',
    neck=dict(
        type='denseformer.ChannelMapper', in_channels='${channels}', out_channels=256, num_outs='${feature_levels}'
    ),
    encoder=dict(num_layers='${encoder_layers}', layer_cfg=dict(self_attn_cfg=_to_points, ffn_cfg=_feedforward)),
    decoder=dict(
        num_layers='${decoder_layers}',
        layer_cfg=dict(
            self_attn_cfg=dict(embed_dims=256, num_heads=8, dropout='${dropout}'),
            cross_attn_cfg=_to_points,
            ffn_cfg=_feedforward,
        ),
        post_norm_cfg=None,
    ),
    positional_encoding=dict(num_feats=128, normalize=True, offset=-0.5),
    bbox_head=dict(
        num_classes='${num_classes}',
        sync_cls_avg_factor=True,
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, loss_weight=2.0),
    ),
    train_cfg=dict(assigner=dict(type='HungarianAssigner', match_costs=_costs)),
    test_cfg=dict(max_per_img=100),
)
