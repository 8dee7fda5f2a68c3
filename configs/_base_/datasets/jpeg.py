# Images compressed as JPEG by OpenCV, trained on DFWB: grey ones, tested on Classic5, unless a config says otherwise.
_base_ = './parts/same_size.py'
batch_size, base_batch_size = 1, 8  # per GPU, on all
channels, patch_size, protocol = 1, 126, 'y'
test_root = 'data/Classic5'
# Patches are cut from compressed squares that are 8 pixels larger, half of them at the corner: JPEG's blocks of 8 begin
# anywhere in the others. Gray images are the luma of half of the colored ones, and OpenCV's gray of the others.
compressed_size = 134
luma = 0.5
train_pipeline = [
    dict(type='denseformer.LoadImagePair', channels='${channels}', luma='${luma}'),
    dict(type='denseformer.PairedRandomCrop', size='${compressed_size}'),
    dict(type='denseformer.RandomOrientation'),
    '${train_degradation}',
    dict(type='denseformer.PairedRandomCrop', size='${patch_size}', corner=0.5),
    dict(type='denseformer.PackRestoration'),
]
train_degradation = dict(type='denseformer.CompressJPEG', quality='${quality}')
test_degradation = '${train_degradation}'
