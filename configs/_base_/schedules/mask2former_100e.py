# For the largest networks.
_base_ = './mask2former_50e.py'
epochs = 100
steps = [89, 96]
