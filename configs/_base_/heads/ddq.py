# DDQ, https://arxiv.org/abs/2303.12776: DINO whose queries are distinct, chosen by non-maximum suppression before every
# layer. Needs of the other bases: backbone (channels follow from it), num_classes.
_base_ = './dino.py'
model = dict(type='DDQDETR', bbox_head=dict(type='DDQDETRHead'))
