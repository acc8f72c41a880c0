"""Jacobians whose layers share their diagonals: J = Π (β_l 1 + √s_l E_l W_l D_l), D and E correlated neuron by neuron.

Freeness of the layers fails there; what holds is freeness over the algebra of diagonal matrices.
"""

from __future__ import annotations

from .blocks import Block as Block
from .equation import BlockEquation as BlockEquation
from .residual import fresh_blocks as fresh_blocks
from .residual import post_activation_blocks as post_activation_blocks
from .residual import pre_activation_blocks as pre_activation_blocks
