# RTMDet-Ins, https://arxiv.org/abs/2212.07784: masks of boxes by convolutions whose weights are predicted with each box.
# Needs of the other bases: backbone (channels and strides follow from it), num_classes.
_base_ = './parts/rtmdet_pyramid.py'
model = dict(
    data_preprocessor=dict(pad_mask=True),
    bbox_head=dict(type='RTMDetInsSepBNHead'),
    test_cfg=dict(
        score_thr=0.05,
        min_bbox_size=0,
        nms_pre=1000,
        nms=dict(type='nms', iou_threshold=0.6),
        max_per_img=100,
        mask_thr_binary=0.5,
    ),
)
