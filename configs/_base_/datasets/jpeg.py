# Grey images compressed as JPEG by OpenCV, trained on DFWB, tested on Classic5.
_base_ = './restoration.py'
channels, patch_size, protocol = 1, 126, 'y'
test_root = 'data/Classic5'
train_degradation = dict(type='denseformer.CompressJPEG', quality='${quality}')
test_degradation = '${train_degradation}'
