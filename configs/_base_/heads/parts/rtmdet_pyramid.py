# RTMDet in its large size: a prediction at each place of the three coarsest maps, by convolutions that levels share.
# Needs of the other bases: backbone (channels and strides follow from it), num_classes.
_base_ = './detector.py'
pyramid = 256  # channels of every level
find_unused_parameters = True  # a backbone's map at stride 4 is left out, and with it that map's norm
_strides = ['${strides[-3]}', '${strides[-2]}', '${strides[-1]}']
model = dict(
    type='RTMDet',
    data_preprocessor=dict(pad_size_divisor='${strides[-1]}'),  # levels are exactly twice as high and wide as the next
    neck=dict(type='denseformer.CSPNeXtPAFPN', in_channels='${channels}', out_channels='${pyramid}', num_outs=3),
    bbox_head=dict(
        num_classes='${num_classes}',
        in_channels='${pyramid}',
        feat_channels='${pyramid}',
        stacked_convs=2,
        anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=_strides),
        bbox_coder=dict(type='DistancePointBBoxCoder'),
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
    ),
    train_cfg=dict(assigner=dict(type='DynamicSoftLabelAssigner'), allowed_border=-1, pos_weight=-1),
)
