# The training photographs of ADE20K, without labels.
_base_ = './images.py'
data_root = 'data/ade/ADEChallengeData2016/images/training'
