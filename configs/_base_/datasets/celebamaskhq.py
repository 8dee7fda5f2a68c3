# CelebAMask-HQ: 24183 training, 2993 validation and 2824 test images of faces, 19 classes with the background, and 40
# attributes of each face. A config with 11 classes sets dataset_type to denseformer.MergedCelebAMaskHQDataset.
_base_ = './parts/faces.py'
data_root = 'data/CelebAMask-HQ'
dataset_type = 'denseformer.CelebAMaskHQDataset'
num_classes = 19
mirrored = [(4, 5), (6, 7), (8, 9)]
_dataset = dict(type='${dataset_type}', data_root='${data_root}')
train_dataloader = dict(dataset=dict(**_dataset, split='train'))
val_dataloader = dict(dataset=dict(**_dataset, split='test'))
