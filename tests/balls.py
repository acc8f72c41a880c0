"""Densities of critical networks of equal layers in ball arithmetic: an oracle for thin tails, to twenty digits.

Nothing here is imported from `spectra`.  ψ of D² is an integral over the real line, `acb.integral` at 128 bits, piece
by piece between the kinks of φ'; the density solves, for u = 1/λ, with w = ψ(y),

    log u = log w − log(1 + w) + L log S,   S = (y/σ²)(1 + w)/w (orthogonal) or (y/σ²)/w (Gaussian),   σ² = 1/E φ'²,

by Newton's method from a start that the caller gives and that need be good to a digit only: the root counts where
y and w lie in the upper half plane and the arguments, principal ones, sum to 0.

Source: Pennington, Schoenholz, Ganguli, AISTATS 2018, equations 13-16, with the summed-argument condition of Belinschi
and Bercovici, J. Anal. Math. 101 (2007).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from typing import Any

from flint import acb, arb, ctx

BITS = 128
# The Gaussian beyond is below 1e-62.
REACH = 17


def _silu(x: Any) -> Any:
    s = 1 / (1 + (-x).exp())
    return s * (1 + x * (1 - s))


def _gelu(x: Any) -> Any:
    return (1 + (x / arb(2).sqrt()).erf()) / 2 + x * (-x * x / 2).exp() / (2 * arb.pi()).sqrt()


def _mish(x: Any) -> Any:
    e = x.exp()
    return e * (4 * (x + 1) + 4 * e**2 + e**3 + e * (4 * x + 6)) / (2 * e + e**2 + 2) ** 2


# Slopes between kinks: (right end, slope), the last end None.
SLOPES: dict[str, list[tuple[float | None, Callable | float]]] = {
    "hardswish": [(-3.0, 0.0), (3.0, lambda x: (2 * x + 3) / 6), (None, 1.0)],
    "silu": [(None, _silu)],
    "gelu": [(None, _gelu)],
    "mish": [(None, _mish)],
    "tanh": [(None, lambda x: x.sech() ** 2)],
    "erf": [(None, lambda x: (-arb.pi() * x * x / 4).exp())],
}


class Balls:
    """The law of φ'(√q z)² in ball arithmetic."""

    def __init__(self, name: str, q: float) -> None:
        with _precision():
            self.root = arb(q).sqrt()
            self.pieces: list[tuple[Any, Any, Any]] = []
            low = arb(-REACH)
            for end, slope in SLOPES[name]:
                high = arb(REACH) if end is None else arb(end) / self.root
                inside = [a for a in map(arb, range(-REACH + 1, REACH)) if low < a < high]
                ends = [low, *inside, high]
                self.pieces += [(a, b, slope) for a, b in pairwise(ends)]
                low = high

    def expectation(self, function: Callable) -> Any:
        """E f(φ'²)."""
        total, norm = acb(0), (2 * arb.pi()).sqrt()
        for a, b, slope in self.pieces:
            if callable(slope):

                def integrand(z: Any, _: Any, slope: Callable = slope) -> Any:
                    return function(slope(self.root * z) ** 2) * (-z * z / 2).exp()

                part = acb.integral(
                    integrand, acb(a), acb(b), rel_tol=arb(2) ** -80, abs_tol=arb(2) ** -110, eval_limit=400000
                )
                total += part / norm
            else:
                mass = ((b / arb(2).sqrt()).erf() - (a / arb(2).sqrt()).erf()) / 2
                total += mass * function(acb(slope) ** 2)
        return total

    @cached_property
    def mean(self) -> Any:
        """E φ'²."""
        return self.expectation(lambda t: t).real

    def log_density(self, depth: int, weights: str, location: float, start: complex) -> float:
        """Log of the density in log λ; `start` is near y·E φ'²."""
        with _precision():
            log_u = -arb(location).log()
            y = (acb(start.real, start.imag) / self.mean).mid()
            for _ in range(12):
                w = self.expectation(lambda t: y * t / (1 - y * t))  # noqa: B023
                rate = self.expectation(lambda t: t / (1 - y * t) ** 2)  # noqa: B023
                gaussian = depth if weights == "gaussian" else 0
                s = y * self.mean / w * (1 + w)
                miss = (w / (1 + w)).log() + depth * s.log() - gaussian * (1 + w).log() - log_u
                slope = rate * (1 / w - 1 / (1 + w)) + depth * (1 / y + rate * (1 / (1 + w) - 1 / w))
                slope -= gaussian * rate / (1 + w)
                step = (-miss / slope).mid()
                y = (y + step).mid()
                if float(abs(step).mid()) < 1e-20 * float(abs(y).mid()):
                    break
            assert float(abs(miss).mid()) < 1e-18, "Newton's method did not arrive"
            # Balls: proven signs.
            assert w.imag > 0
            assert y.imag > 0
            return math.log(float(w.imag.mid())) - math.log(math.pi)


class _precision:
    def __enter__(self) -> None:
        self.before, ctx.prec = ctx.prec, BITS

    def __exit__(self, *_: object) -> None:
        ctx.prec = self.before
