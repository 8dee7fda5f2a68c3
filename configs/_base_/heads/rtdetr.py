# RT-DETR, https://arxiv.org/abs/2304.08069, on the three coarsest maps of a backbone.
# Needs of the other bases: backbone (channels and strides follow from it), num_classes.
_base_ = './parts/detector.py'
image_mean = [0.0, 0.0, 0.0]
image_std = [255.0, 255.0, 255.0]
pyramid = 256  # channels of every level
width = 256  # of queries
num_queries = 300  # the most boxes in an image
denoising_queries = 100
decoder_layers = 6
feedforward = 1024  # in the decoder
multiscale = []  # how batches are resized in training
find_unused_parameters = True  # a backbone's map at stride 4 is left out, and with it that map's norm
model = dict(
    type='denseformer.RTDETR',
    data_preprocessor=dict(
        pad_size_divisor='${strides[-1]}',  # levels are exactly twice as high and wide as the next
        batch_augments='${multiscale}',
    ),
    num_queries='${num_queries}',
    level_channels='${pyramid}',
    neck=dict(type='denseformer.HybridEncoder', in_channels='${channels}', out_channels='${pyramid}'),
    decoder=dict(
        num_layers='${decoder_layers}',
        return_intermediate=True,
        layer_cfg=dict(
            self_attn_cfg=dict(embed_dims='${width}', num_heads=8),
            cross_attn_cfg=dict(embed_dims='${width}', num_levels=3, dropout=0.0),
            ffn_cfg=dict(embed_dims='${width}', feedforward_channels='${feedforward}', ffn_drop=0.0),
        ),
        post_norm_cfg=None,
    ),
    bbox_head=dict(
        type='DINOHead',
        num_classes='${num_classes}',
        embed_dims='${width}',
        sync_cls_avg_factor=True,
        loss_cls=dict(type='denseformer.QualityVarifocalLoss'),
        loss_bbox=dict(type='L1Loss', loss_weight=5.0),
        loss_iou=dict(type='GIoULoss', loss_weight=2.0),
    ),
    dn_cfg=dict(
        label_noise_scale=0.5, box_noise_scale=1.0, group_cfg=dict(dynamic=True, num_dn_queries='${denoising_queries}')
    ),
    train_cfg=dict(
        assigner=dict(
            type='HungarianAssigner',
            match_costs=[
                dict(type='FocalLossCost', weight=2.0),
                dict(type='BBoxL1Cost', weight=5.0, box_format='xywh'),
                dict(type='IoUCost', iou_mode='giou', weight=2.0),
            ],
        )
    ),
    test_cfg=dict(max_per_img='${num_queries}'),
)
