_base_ = [
    './_base_/backbones/dinat.py',
    './_base_/heads/mask_rcnn.py',
    './_base_/datasets/sample_instance.py',
    './_base_/schedules/adamw_1x.py',
    './_base_/runtime/epochs.py',
]
_arch = dict(_delete_=True, width=32, depths=(2, 2, 4, 2), heads=(2, 4, 8, 16), mlp_ratio=2)
backbone = dict(arch=_arch, dilations=((1, 4), (1, 2), (1, 1, 1, 1), (1, 1)))
pyramid, anchor_scale, warmup_iters, epochs, steps = 64, 4, 50, 5, [4]
model = dict(roi_head=dict(bbox_head=dict(fc_out_channels=256), mask_head=dict(num_convs=2)), train_cfg=dict(rcnn=dict(sampler=dict(num=64)), rpn_proposal=dict(nms_pre=500, max_per_img=200)), test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=100)))
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=5.0))
