"""Explaining a trained model: its scores, its errors, suspected errors of the labels, and the difference of two runs.

`scores`, `errors`, `labels` and `bootstrap` are functions of arrays; `records` makes these arrays, one dict per image;
`collect` predicts a run's validation set; `page` writes what `denseformer explain` shows.
"""
