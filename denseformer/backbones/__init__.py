"""Backbones: one family per file, all behind the contract of `base`."""

from denseformer.backbones.base import Backbone
from denseformer.backbones.dinat import NAT, DiNAT, DiNATs

__all__ = ['NAT', 'Backbone', 'DiNAT', 'DiNATs']
