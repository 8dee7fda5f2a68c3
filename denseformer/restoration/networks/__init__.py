"""Restoration networks: one family per file, all behind the contract of `base`."""

from denseformer.restoration.networks.base import RestorationNetwork
from denseformer.restoration.networks.catanet import CATANet
from denseformer.restoration.networks.cfsr import CFSR
from denseformer.restoration.networks.dlgsanet import DLGSANet
from denseformer.restoration.networks.drct import DRCT
from denseformer.restoration.networks.drsformer import DRSformer
from denseformer.restoration.networks.essaformer import ESSAformer
from denseformer.restoration.networks.ffnetsr import FFNetSR
from denseformer.restoration.networks.hat import HAT
from denseformer.restoration.networks.pepsi import PEPSI, RegionDiscriminator
from denseformer.restoration.networks.rgt import RGT
from denseformer.restoration.networks.swinir import SwinIR

__all__ = [
    'CFSR',
    'DRCT',
    'HAT',
    'PEPSI',
    'RGT',
    'CATANet',
    'DLGSANet',
    'DRSformer',
    'ESSAformer',
    'FFNetSR',
    'RegionDiscriminator',
    'RestorationNetwork',
    'SwinIR',
]
