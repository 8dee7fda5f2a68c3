# Crops that EoMT segments by: images are resized to fit `crop_size`, times a factor, crops are taken as they fall, and
# filled up with black on the right and below. A dataset's base beside this one takes them by
# train_pipeline = '${padded_crops}'.
padded_crops = [
    dict(type='denseformer.LoadImage'),
    dict(type='denseformer.LoadSegmentation', num_classes='${num_classes}', reduce_zero_label='${reduce_zero_label}'),
    dict(type='RandomResize', scale='${crop_size}', ratio_range='${scale_range}', keep_ratio=True),
    dict(type='RandomCrop', crop_size='${crop_size}'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='Pad', size='${crop_size}', pad_val=dict(img=0, seg=255)),
    dict(type='PackSegInputs'),
]
