"""Jacobians whose layers share their diagonals: J = Π (β_l 1 + √s_l E_l W_l D_l), D and E correlated neuron by neuron.

Freeness of the layers fails there; what holds is freeness over the algebra of diagonal matrices.
"""

from __future__ import annotations

from .blocks import Block as Block
from .equation import BlockEquation as BlockEquation
from .free import FreeBlock as FreeBlock
from .free import FreeEquation as FreeEquation
from .free_product import free_law as free_law
from .law import block_law as block_law
from .layers import Layer as Layer
from .layers import blocks_of as blocks_of
from .solved import BlockLaw as BlockLaw
