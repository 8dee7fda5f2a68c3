# Images compressed as JPEG by OpenCV, trained on DFWB: grey ones, tested on Classic5, unless a config says otherwise.
_base_ = './parts/same_size.py'
batch_size, base_batch_size = 1, 8  # per GPU, on all
channels, patch_size, protocol = 1, 126, 'y'
test_root = 'data/Classic5'
train_degradation = dict(type='denseformer.CompressJPEG', quality='${quality}')
test_degradation = '${train_degradation}'
