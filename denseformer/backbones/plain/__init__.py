"""Plain backbones: one family per file, tokens at one stride, all behind the contract of `base`."""
