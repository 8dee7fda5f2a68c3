# GiT for label maps. Needs of the other bases: backbone, a GiTViT, num_classes, crop_size.
_base_ = ['../heads/parts/segmentor.py', './parts/git.py']
grid = (14, 14)  # points that ask, to a window
sampled = 32  # of them are taught in a step
network = dict(task='semantic_segmentation')
model = dict(
    type='denseformer.GiTSegmentor',
    data_preprocessor=dict(test_cfg=dict(size_divisor='${window}')),
    backbone='${network}',
    decode_head=dict(
        type='denseformer.GiTSemanticHead', num_classes='${num_classes}', grid='${grid}', sampled='${sampled}'
    ),
)
