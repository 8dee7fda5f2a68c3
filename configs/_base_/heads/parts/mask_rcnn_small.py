# Mask R-CNN with narrower heads and fewer proposals, for small images and CPUs.
_base_ = '../mask_rcnn.py'
pyramid = 64
anchor_scale = 4
model = dict(
    roi_head=dict(bbox_head=dict(fc_out_channels=256), mask_head=dict(num_convs=2)),
    train_cfg=dict(rpn_proposal=dict(nms_pre=500, max_per_img=200), rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=100)),
)
