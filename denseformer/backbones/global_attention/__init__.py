"""Backbones whose tokens attend to the whole map, pooled, routed or decayed with distance."""
