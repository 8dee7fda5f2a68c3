# EoMT for things and stuff. Needs of the dataset's base, besides: num_stuff, how many of the classes are stuff.
_base_ = './eomt.py'
head = dict(num_stuff='${num_stuff}')
model = dict(data_preprocessor=dict(pad_seg=True), panoptic_fusion_head=dict(num_stuff='${num_stuff}'))
