# LaPa: 18176 training, 2000 validation and 2000 test images of faces in any pose, 11 classes with the background.
_base_ = './parts/faces.py'
data_root = 'data/LaPa'
num_classes = 11
_dataset = dict(type='denseformer.LaPaDataset', data_root='${data_root}')
train_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='train/images', seg_map_path='train/labels'))
)
val_dataloader = dict(dataset=dict(**_dataset, data_prefix=dict(img_path='test/images', seg_map_path='test/labels')))
