# GiT for boxes; rays = 24 adds outlines (git_instance.py). Needs of the other bases: backbone, a GiTViT, num_classes.
_base_ = ['../heads/parts/detector.py', './parts/git.py']
num_bins = 2240  # numbers are told apart so finely: twice the side of the image
grid = (5, 5)  # points that ask, to a window
sampled = 10  # of them are taught in a step
rays = 0
network = dict(task='detection', num_bins='${num_bins}')
model = dict(
    type='denseformer.GiTDetector',
    data_preprocessor=dict(pad_mask=True, pad_size_divisor='${window}'),
    backbone='${network}',
    bbox_head=dict(
        type='denseformer.GiTDetectionHead',
        num_classes='${num_classes}',
        grid='${grid}',
        sampled='${sampled}',
        rays='${rays}',
    ),
)
