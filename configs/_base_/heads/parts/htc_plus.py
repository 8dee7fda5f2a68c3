# HTC++, https://arxiv.org/abs/2103.14030, as ViT-Adapter has it: a block of attention on the coarsest map, and scores of
# overlapping boxes are lowered instead of the boxes dropped.
_base_ = '../htc.py'
neck_drop_path = 0.3
model = dict(
    neck=[
        dict(
            type='denseformer.LastMapAttention',
            in_channels='${channels}',
            heads=32,
            drop_path='${neck_drop_path}',
        ),
        dict(
            type='denseformer.FPN',
            in_channels='${channels}',
            in_strides='${strides}',
            out_channels='${pyramid}',
            out_strides='${pyramid_strides}',
        ),
    ],
    test_cfg=dict(rcnn=dict(score_thr=0.001, nms=dict(type='soft_nms', iou_threshold=0.5))),
)
