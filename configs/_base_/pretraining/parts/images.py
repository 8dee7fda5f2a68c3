# Images of a dataset, without their labels if it has any.
_base_ = '../../heads/parts/pixels.py'
default_scope = 'mmseg'
model = dict(
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean='${image_mean}', std='${image_std}', bgr_to_rgb=True, size='${crop_size}'
    )
)
