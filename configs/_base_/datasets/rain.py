# Rainy images and clean ones, input/ and target/ below train/ and test/.
_base_ = './parts/pairs.py'
protocol, downsample = 'y_rounded', False
base_batch_size = 16  # on 4 GPUs
training_root = test_root = '${data_root}'
training_files = dict(gt_path='train/target', img_path='train/input')
test_files = dict(gt_path='test/target', img_path='test/input')
val_evaluator = [
    dict(type='denseformer.PSNR', protocol='${protocol}'),
    dict(type='denseformer.SSIM', protocol='${protocol}', downsample='${downsample}'),
]
