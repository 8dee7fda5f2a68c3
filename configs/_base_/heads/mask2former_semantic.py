# Mask2Former for semantic segmentation, in mmsegmentation's terms. Needs of the data set's base, besides: crop_size.
_base_ = './mask2former.py'
default_scope = 'mmseg'
head = dict(type='denseformer.Mask2FormerSemanticHead')
model = dict(
    _delete_=True,
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        seg_pad_val=255,
        size='${crop_size}',
    ),
    backbone='${backbone}',
    decode_head='${head}',
    test_cfg=dict(mode='whole'),
)
tta_model = dict(type='SegTTAModel')
