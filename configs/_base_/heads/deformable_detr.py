# Deformable DETR, https://arxiv.org/abs/2010.04159, in its best variant: each layer refines the boxes of the one before,
# and queries begin at the encoder's best boxes.
# Needs of the other bases: backbone (channels follow from it), num_classes.
_base_ = './parts/deformable_transformer.py'
model = dict(type='DeformableDETR', with_box_refine=True, as_two_stage=True, bbox_head=dict(type='DeformableDETRHead'))
