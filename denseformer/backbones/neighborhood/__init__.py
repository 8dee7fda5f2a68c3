"""Backbones whose tokens attend to the tokens nearest to them."""
