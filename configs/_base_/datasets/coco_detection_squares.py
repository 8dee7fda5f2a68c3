# COCO 2017 without its masks, with images stretched to squares in testing.
_base_ = './coco_detection.py'
image_scale = (640, 640)
test_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(type='Resize', scale='${image_scale}', keep_ratio=False),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'instances')),
]
