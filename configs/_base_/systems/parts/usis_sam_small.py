# USIS-SAM with narrower heads and fewer proposals, for small images and CPUs.
_base_ = '../usis_sam.py'
pyramid = 64
canvas = 32
model = dict(
    rpn_head=dict(anchor_generator=dict(scales=[3, 6])),
    roi_head=dict(bbox_head=dict(fc_out_channels=256), mask_head=dict(hidden=256)),
    train_cfg=dict(rpn_proposal=dict(nms_pre=500, max_per_img=200), rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=100)),
)
