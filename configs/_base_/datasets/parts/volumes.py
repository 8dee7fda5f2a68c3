# What datasets of volumes (NIfTI files) share, which are trained and tested by slices and scored by volumes. A dataset's
# base sets what segmentation.py asks for.
_base_ = './segmentation.py'
window = None  # the values that become black and white, or None for the range of each volume; `infer` reads it too
key_metric = 'Dice'
_meta_keys = ('img_path', 'seg_map_path', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor', 'flip', 'flip_direction')
_loading = [
    dict(type='denseformer.LoadImageSlice', window='${window}'),
    dict(type='denseformer.LoadLabelSlice', num_classes='${num_classes}'),
]
train_pipeline = [
    *_loading,
    dict(type='RandomResize', scale='${image_scale}', ratio_range='${scale_range}', keep_ratio=True),
    dict(type='RandomCrop', crop_size='${crop_size}', cat_max_ratio='${cat_max_ratio}'),
    dict(type='RandomRotFlip', rotate_prob=0.5, flip_prob=0.5, degree=20),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    *_loading,
    dict(type='denseformer.ResizeImage', scale='${image_scale}', multiple='${test_multiple}'),
    dict(type='PackSegInputs', meta_keys=(*_meta_keys, 'slice', 'spacing')),
]
val_evaluator = [dict(type='denseformer.SegmentationMetric'), dict(type='denseformer.VolumeMetric')]
