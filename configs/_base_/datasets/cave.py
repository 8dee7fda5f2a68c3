# CAVE: 31 bands of 16 bits, 512 x 512 pixels, each scene stacked into one .npy file (H, W, 31), below train/ and test/.
_base_ = './chikusei.py'
data_root = 'data/CAVE'
bands, peak, suffixes = 31, 65535, ('.npy',)
