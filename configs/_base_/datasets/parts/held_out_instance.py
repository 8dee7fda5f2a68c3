# A folder of images with one COCO json file, of which every fifth image is held out for validation. A dataset's base
# sets data_root, annotations, classes, num_classes and image_scale.
_base_ = './instances.py'
images = 'images'
held_out_every = 5
_dataset = dict(
    type='denseformer.HeldOutDataset',
    data_root='${data_root}',
    ann_file='${annotations}',
    data_prefix=dict(img='${images}'),
    metainfo=dict(classes='${classes}'),
    every='${held_out_every}',
)
train_dataloader = dict(dataset=dict(**_dataset, held_out=False))
val_dataloader = dict(dataset=dict(**_dataset, held_out=True))
