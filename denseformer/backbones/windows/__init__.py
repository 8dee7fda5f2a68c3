"""Backbones that attend inside windows, and carry on between them by shifts, stripes, grids or tokens."""
