"""Moments of JJᵀ of a chain of blocks, from ψ on a circle."""

from __future__ import annotations

import numpy as np

from .._types import Array
from ..errors import ConvergenceError
from .known import Equation

# The circle: this part of the radius of convergence 1/λ_max, so that 32 points leave 0.6³² = 8e-8 of m_33 r³³ ….
PART, FEWEST = 0.6, 64


def block_moments(equation: Equation, order: int, largest: float) -> Array:
    """m_1 … m_order by Cauchy's formula on |u| = 0.6/λ_max, λ_max = `largest`.

    Accuracy
    --------
    1e-12/0.6^k relative for m_k, from the rounding of ψ; truncation is 0.6^64 at most.

    Raises
    ------
    ConvergenceError : the equation was not solved somewhere on the circle.
    """
    half = max(FEWEST, 4 * order) // 2
    # Of conjugate points one is enough.
    u = PART / largest * np.exp(-1j * np.pi * (np.arange(half) + 0.5) / half)
    found = equation.solve(u)
    if not found.solved.all():
        worst = float(found.residual.max())
        raise ConvergenceError(f"moments: the equation of the blocks was solved to {worst:.1e} only")
    k = np.arange(1, order + 1)
    return np.real(np.mean(found.psi[:, None] * u[:, None] ** -k, axis=0))
