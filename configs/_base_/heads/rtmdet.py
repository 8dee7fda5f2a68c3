# RTMDet, https://arxiv.org/abs/2212.07784.
# Needs of the other bases: backbone (channels and strides follow from it), num_classes.
_base_ = './parts/rtmdet_pyramid.py'
model = dict(
    bbox_head=dict(type='RTMDetSepBNHead', with_objectness=False, exp_on_reg=True),
    test_cfg=dict(
        score_thr=0.001, min_bbox_size=0, nms_pre=30000, nms=dict(type='nms', iou_threshold=0.65), max_per_img=300
    ),
)
