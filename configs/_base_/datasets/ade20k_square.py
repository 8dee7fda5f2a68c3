# ADE20K whose images are stretched to squares, in half of the training steps after an enlargement, out of which a
# square is cut.
_base_ = './ade20k.py'
crop_size = (672, 672)
_square = dict(type='Resize', scale='${crop_size}', keep_ratio=False)
_read = dict(
    type='denseformer.LoadSegmentation', num_classes='${num_classes}', reduce_zero_label='${reduce_zero_label}'
)
_larger = [(672 * tenths // 10, 672 * tenths // 10) for tenths in range(10, 21)]
_cut = [
    dict(type='RandomChoiceResize', scales=_larger, keep_ratio=False),
    dict(type='RandomCrop', crop_size='${crop_size}', cat_max_ratio='${cat_max_ratio}'),
]
train_pipeline = [
    dict(type='denseformer.LoadImage'),
    _read,
    dict(type='RandomChoice', transforms=[[_square], _cut]),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [dict(type='denseformer.LoadImage'), _square, _read, dict(type='PackSegInputs')]
