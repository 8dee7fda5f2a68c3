# USIS-SAM, https://arxiv.org/abs/2406.06039. Needs of the other bases: backbone, an AdaptedSAM with its neck (channels
# and strides follow from it), num_classes.
_base_ = '../heads/mask_rcnn.py'
canvas = 1024  # sides of images are padded to multiples of it
find_unused_parameters = True  # the decoder has parts for masks that are not asked for
_smooth = dict(type='SmoothL1Loss')
model = dict(
    type='denseformer.USISSAM',
    data_preprocessor=dict(pad_size_divisor='${canvas}'),
    neck=dict(type='denseformer.USISNeck'),
    rpn_head=dict(anchor_generator=dict(scales=[4, 8]), loss_bbox=_smooth),
    roi_head=dict(
        type='denseformer.PromptedRoIHead',
        bbox_head=dict(loss_bbox=_smooth),
        mask_head=dict(
            _delete_=True, type='denseformer.PromptedMaskHead', in_channels='${pyramid}', frozen='${backbone.frozen}'
        ),
    ),
    train_cfg=dict(rcnn=dict(sampler=dict(num=256))),
)
