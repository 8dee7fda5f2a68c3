# CelebA-HQ, faces of 256 x 256 pixels, with free-form holes; test images keep the same holes.
_base_ = './parts/same_size.py'
data_root = 'data/CelebA-HQ'
image_size = 256
batch_size = base_batch_size = 8
training_root = test_root = '${data_root}'
training_files, test_files = dict(gt_path='train'), dict(gt_path='test')
train_pipeline = [
    dict(type='denseformer.LoadImagePair'),
    dict(type='denseformer.PairedRandomCrop', size='${image_size}'),
    dict(type='denseformer.FreeFormMask'),
    dict(type='denseformer.PackRestoration'),
]
test_pipeline = [
    dict(type='denseformer.LoadImagePair'),
    dict(type='denseformer.FreeFormMask', fixed=True),
    dict(type='denseformer.PackRestoration'),
]
