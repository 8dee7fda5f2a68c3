# Test images are resized to fit `crop_size` and filled up to it on the right and below, with black, as EoMT trains on them.
# A dataset's base beside this one takes it by test_pipeline = '${padded_pipeline}' and image_scale = '${crop_size}'.
padded_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(type='Resize', scale='${crop_size}', keep_ratio=True),
    dict(type='denseformer.PadImage', size='${crop_size}'),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'instances')),
]
