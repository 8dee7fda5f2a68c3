# Restormer's progressive training, for 300 000 iterations on 8 GPUs: ever larger patches, ever fewer of them. The data
# loader delivers the largest of both: a config sets patch_size = 384 and batch_size = 8.
_base_ = './l1.py'
stages = [
    dict(until=92_000, batch=8, patch=128),
    dict(until=156_000, batch=5, patch=160),
    dict(until=204_000, batch=4, patch=192),
    dict(until=240_000, batch=2, patch=256),
    dict(until=276_000, batch=1, patch=320),
    dict(until=300_000, batch=1, patch=384),
]
model = dict(data_preprocessor=dict(type='denseformer.ProgressivePreprocessor', stages='${stages}'))
