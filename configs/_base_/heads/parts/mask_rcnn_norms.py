# Mask R-CNN with BatchNorm in its pyramid and heads, two convolutions for proposals and four for boxes, for
# large-scale jitter. Needs of the other bases: backbone (with maps at strides 4 to 32), num_classes.
_base_ = '../mask_rcnn.py'
_norm = dict(type='BN')
model = dict(
    neck=dict(
        _delete_=True,
        type='FPN',
        in_channels=['${channels[0]}', '${channels[1]}', '${channels[2]}', '${channels[3]}'],
        out_channels='${pyramid}',
        num_outs=5,
        norm_cfg=_norm,
    ),
    rpn_head=dict(num_convs=2),
    roi_head=dict(
        bbox_head=dict(type='Shared4Conv1FCBBoxHead', conv_out_channels='${pyramid}', norm_cfg=_norm),
        mask_head=dict(norm_cfg=_norm),
    ),
)
