# A smooth absolute difference, by which SwinIR is trained to remove noise and JPEG artefacts.
_base_ = './l1.py'
model = dict(losses=[dict(type='denseformer.CharbonnierLoss', eps=1e-9)])
