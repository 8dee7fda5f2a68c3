# An absolute difference of pixels, and a little of one of their spectra.
_base_ = './l1.py'
model = dict(
    losses=[dict(type='denseformer.L1Loss'), dict(type='denseformer.FrequencyLoss', norm='backward', weight=0.02)]
)
