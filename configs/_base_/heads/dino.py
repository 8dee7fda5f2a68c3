# DINO, https://arxiv.org/abs/2203.03605: Deformable DETR that also learns to undo noise on labels and boxes.
# Needs of the other bases: backbone (channels follow from it), num_classes.
_base_ = './parts/deformable_transformer.py'
num_queries, feedforward, dropout = 900, 2048, 0.0
denoising_queries = 100
model = dict(
    type='DINO',
    with_box_refine=True,
    as_two_stage=True,
    positional_encoding=dict(offset=0.0, temperature=20),
    bbox_head=dict(type='DINOHead', loss_cls=dict(loss_weight=1.0)),
    dn_cfg=dict(group_cfg=dict(num_dn_queries='${denoising_queries}')),
    test_cfg=dict(max_per_img=300),
)
