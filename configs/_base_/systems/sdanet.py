# SDANet, https://arxiv.org/abs/2211.10763: its pyramid in Cascade Mask R-CNN. Needs of the other bases: backbone of four
# maps at strides 4 to 32, num_classes.
_base_ = '../heads/cascade_mask_rcnn.py'
model = dict(
    neck=dict(
        _delete_=True, type='denseformer.AttFPN', in_channels='${channels}', out_channels='${pyramid}', num_outs=5
    )
)
