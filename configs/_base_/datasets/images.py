# Images without labels, in a folder and the folders below it, for training without labels. Needs of the pretraining
# base: nothing. Images are resized by their short side to crop_size times a factor, of which a crop is cut.
data_root = 'data/images'
suffixes = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.JPG', '.JPEG', '.PNG')
image_scale = (896, 224)
crop_size = (224, 224)
scale_range = (1.0, 2.0)
batch_size = 32  # per GPU
num_workers = 4
key_metric = None
train_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(type='RandomResize', scale='${image_scale}', ratio_range='${scale_range}', keep_ratio=True),
    dict(type='RandomCrop', crop_size='${crop_size}'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size='${batch_size}',
    num_workers='${num_workers}',
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='BaseSegDataset',
        data_root='${data_root}',
        data_prefix=dict(img_path=''),
        img_suffix='${suffixes}',
        pipeline='${train_pipeline}',
    ),
)
val_dataloader = val_evaluator = test_dataloader = test_evaluator = None
