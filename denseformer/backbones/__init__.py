"""Backbones: one family per file, all behind the contract of `base`."""

from denseformer.backbones.base import Backbone
from denseformer.backbones.convolution.convnext import ConvNeXt
from denseformer.backbones.convolution.ffnet import FFNet
from denseformer.backbones.convolution.focalnet import FocalNet
from denseformer.backbones.convolution.hornet import HorNet
from denseformer.backbones.convolution.mambaout import MambaOut
from denseformer.backbones.convolution.poolformer import PoolFormer
from denseformer.backbones.convolution.van import VAN
from denseformer.backbones.global_attention.biformer import BiFormer
from denseformer.backbones.global_attention.cvt import CvT
from denseformer.backbones.global_attention.fan import FAN
from denseformer.backbones.global_attention.favit import FaViT
from denseformer.backbones.global_attention.fcaformer import FcaFormer
from denseformer.backbones.global_attention.mit import MiT
from denseformer.backbones.global_attention.moh import MoH
from denseformer.backbones.global_attention.ppma import PPMA
from denseformer.backbones.global_attention.pyramid_tnt import PyramidTNT
from denseformer.backbones.global_attention.rmt import RMT
from denseformer.backbones.global_attention.sgformer import SGFormer
from denseformer.backbones.global_attention.stvit import STViT
from denseformer.backbones.global_attention.transnext import TransNeXt
from denseformer.backbones.global_attention.uniformer import UniFormer
from denseformer.backbones.global_attention.vitamin import ViTamin
from denseformer.backbones.global_attention.volo import VOLO
from denseformer.backbones.light.care import CARE
from denseformer.backbones.light.casvit import CASViT
from denseformer.backbones.light.efficientvit import EfficientViT
from denseformer.backbones.light.lsnet import LSNet
from denseformer.backbones.light.lwganet import LWGANet
from denseformer.backbones.light.shvit import SHViT
from denseformer.backbones.linear_attention.agent import AgentPVT, AgentSwin
from denseformer.backbones.linear_attention.ecoformer import EcoFormer
from denseformer.backbones.linear_attention.inline import InLinePVT, InLineSwin
from denseformer.backbones.linear_attention.l2vit import L2ViT
from denseformer.backbones.linear_attention.soft import SOFT
from denseformer.backbones.neighborhood.dinat import NAT, DiNAT, DiNATs
from denseformer.backbones.plain.adapted_sam import AdaptedSAM
from denseformer.backbones.plain.binary_attention import BinaryAttention
from denseformer.backbones.plain.convit import ConViT
from denseformer.backbones.plain.croco import CroCo
from denseformer.backbones.plain.crossvit import CrossViT
from denseformer.backbones.plain.dinov2 import DINOv2
from denseformer.backbones.plain.dinov3 import DINOv3
from denseformer.backbones.plain.dinov3_adapter import DINOv3Adapter
from denseformer.backbones.plain.git import GiTViT
from denseformer.backbones.plain.hiera import Hiera
from denseformer.backbones.plain.illama import ILLaMA
from denseformer.backbones.plain.sam import SAM
from denseformer.backbones.plain.sam2 import SAM2
from denseformer.backbones.plain.smarties import SMARTIES
from denseformer.backbones.plain.snnet import SNNet
from denseformer.backbones.plain.t2t_vit import T2TViT
from denseformer.backbones.plain.tips import TIPS
from denseformer.backbones.plain.tnt import TNT
from denseformer.backbones.plain.uplift import UPLiFT
from denseformer.backbones.plain.vir import ViR
from denseformer.backbones.plain.vit import ViT
from denseformer.backbones.plain.vit_adapter import ViTAdapter
from denseformer.backbones.plain.vitdet import ViTDet
from denseformer.backbones.spectral.spectformer import SpectFormer
from denseformer.backbones.spectral.svt import SVT
from denseformer.backbones.state_space.a2mamba import A2Mamba
from denseformer.backbones.state_space.mamba_yolo import MambaYOLO
from denseformer.backbones.state_space.mobilemamba import MobileMamba
from denseformer.backbones.state_space.vcmamba import VCMamba
from denseformer.backbones.state_space.vim import Vim
from denseformer.backbones.state_space.vssd import VSSD
from denseformer.backbones.windows.crossformer import CrossFormer
from denseformer.backbones.windows.cswin import CSWin
from denseformer.backbones.windows.davit import DaViT
from denseformer.backbones.windows.gcvit import GCViT
from denseformer.backbones.windows.halonet import HaloNet
from denseformer.backbones.windows.maxvit import MaxViT
from denseformer.backbones.windows.stvit_r import STViTR
from denseformer.backbones.windows.swin import Swin
from denseformer.backbones.windows.swinv2 import SwinV2

__all__ = [
    'CARE',
    'FAN',
    'NAT',
    'PPMA',
    'RMT',
    'SAM',
    'SAM2',
    'SMARTIES',
    'SOFT',
    'SVT',
    'TIPS',
    'TNT',
    'VAN',
    'VOLO',
    'VSSD',
    'A2Mamba',
    'AdaptedSAM',
    'AgentPVT',
    'AgentSwin',
    'Backbone',
    'BiFormer',
    'BinaryAttention',
    'CASViT',
    'CSWin',
    'ConViT',
    'ConvNeXt',
    'CroCo',
    'CrossFormer',
    'CrossViT',
    'CvT',
    'DINOv2',
    'DINOv3',
    'DINOv3Adapter',
    'DaViT',
    'DiNAT',
    'DiNATs',
    'EcoFormer',
    'EfficientViT',
    'FFNet',
    'FaViT',
    'FcaFormer',
    'FocalNet',
    'GCViT',
    'GiTViT',
    'HaloNet',
    'Hiera',
    'HorNet',
    'ILLaMA',
    'InLinePVT',
    'InLineSwin',
    'L2ViT',
    'LSNet',
    'LWGANet',
    'MambaOut',
    'MambaYOLO',
    'MaxViT',
    'MiT',
    'MoH',
    'MobileMamba',
    'PoolFormer',
    'PyramidTNT',
    'SGFormer',
    'SHViT',
    'SNNet',
    'STViT',
    'STViTR',
    'SpectFormer',
    'Swin',
    'SwinV2',
    'T2TViT',
    'TransNeXt',
    'UPLiFT',
    'UniFormer',
    'VCMamba',
    'ViR',
    'ViT',
    'ViTAdapter',
    'ViTDet',
    'ViTamin',
    'Vim',
]
