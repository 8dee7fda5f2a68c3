# What all segmentors of mmsegmentation share. Needs of the other bases: backbone, crop_size.
_base_ = './pixels.py'
default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean='${image_mean}',
        std='${image_std}',
        bgr_to_rgb=True,
        seg_pad_val=255,
        size='${crop_size}',
    ),
    backbone='${backbone}',
    test_cfg=dict(mode='whole'),
)
tta_model = dict(type='SegTTAModel')
