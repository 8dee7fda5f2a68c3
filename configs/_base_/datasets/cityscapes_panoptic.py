# Cityscapes with 8 classes of things and 11 of stuff. cityscapesscripts' csCreatePanopticImgs makes the maps.
_base_ = ['./parts/panoptic.py', './parts/cropping.py']
data_root = 'data/cityscapes'
num_classes = 19
num_stuff = 11
image_scale = (2048, 1024)
crop_size = (1024, 512)
_dataset = dict(type='denseformer.CityscapesPanopticDataset', data_root='${data_root}')
train_sampler = dict(type='InfiniteSampler')
train_dataloader = dict(
    batch_sampler=None,
    dataset=dict(
        **_dataset,
        ann_file='gtFine/cityscapes_panoptic_train.json',
        data_prefix=dict(img='leftImg8bit/train', seg='gtFine/cityscapes_panoptic_train'),
    ),
)
val_dataloader = dict(
    dataset=dict(
        **_dataset,
        ann_file='gtFine/cityscapes_panoptic_val.json',
        data_prefix=dict(img='leftImg8bit/val', seg='gtFine/cityscapes_panoptic_val'),
    )
)
