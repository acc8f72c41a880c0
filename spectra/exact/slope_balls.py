"""The law of φ'(√q z)² in ball arithmetic: ψ with its derivatives, its inverse χ, and the moments.

ψ(y) = E yφ'²/(1 − yφ'²).  Where φ' takes finitely many values the law is a sum of atoms, in closed form.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

from flint import acb, arb

from ..activations import Activation
from ..activations.expression import is_cut_exactly
from ..activations.symbolic import X
from ..errors import ConvergenceError
from .ball_functions import BallFunction, constant
from .closed_forms import K, Q, closed_form
from .enclosures import enclosed_zero
from .gaussian_balls import GaussianBalls

# Steps of Newton's method towards a real χ(w), at most.
GUESSES = 60


class SlopeBalls:
    """The law of D² of one layer, at the precision in force when it was made.

    Parameters
    ----------
    activation : φ, with a symbolic form.
    q : variance ≥ 0, a ball or an exact number; 0 is the limit q → 0⁺.

    Attributes
    ----------
    atoms : pairs (mass, φ'²) where these are all there is, else None.
    """

    def __init__(self, activation: Activation, q: arb) -> None:
        self.activation, self.q = activation, arb(q)
        self._over = None if self.q.is_zero() else GaussianBalls(activation, self.q)
        # Now, at this precision, and not where they are first asked for.
        self.atoms = (
            [(arb(1) / 2, s * s) for s in _slopes_at_zero(activation)] if self._over is None else self._over.atoms
        )

    @property
    def proven(self) -> bool:
        """Whether the tails of the Gaussian are bounded and the branches certain, so that enclosures hold."""
        if self._over is not None:
            return self._over.bounded
        # At q = 0 there is no tail.
        return self.activation.source == "catalogue" or is_cut_exactly(self.activation.name)

    @property
    def closed_chi(self) -> bool:
        """Whether χ is known in closed form: φ'² takes one value off 0."""
        return self.atoms is not None and sum(not t.is_zero() for _, t in self.atoms) == 1

    @property
    def largest(self) -> arb:
        """An upper bound of φ'², the largest atom itself where there are only atoms."""
        if self.atoms is not None:
            top = self.atoms[0][1]
            for _, t in self.atoms[1:]:
                top = top.max(t)
            return top
        assert self._over is not None
        return self._over.top**2

    @cached_property
    def mean(self) -> arb:
        """E φ'²."""
        return self.moment(1)

    @cached_property
    def second(self) -> arb:
        """E φ'⁴."""
        return self.moment(2)

    def moment(self, k: int) -> arb:
        """E φ'^{2k}; in closed form where there is one."""
        if self.atoms is None and closed_form(self.activation) is not None:
            return _closed_moment(self.activation, k)(acb(self.q))[0].real
        return self._expected(lambda t: t**k, self.largest**k).real

    def psi(self, y: acb) -> acb:
        """ψ(y); y off the law's own cut."""
        return self._expected(lambda t: y * t / (1 - y * t), self._reach(y) * abs(y))

    def psi_slope(self, y: acb) -> acb:
        """ψ'(y) = E φ'²/(1 − yφ'²)²."""
        return self._expected(lambda t: t / (1 - y * t) ** 2, self._reach(y) ** 2 / self.largest)

    def psi_bend(self, y: acb) -> acb:
        """ψ''(y) = 2 E φ'⁴/(1 − yφ'²)³."""
        return self._expected(lambda t: 2 * t * t / (1 - y * t) ** 3, 2 * self._reach(y) ** 3 / self.largest)

    def chi(self, w: Any, start: Any) -> Any:
        """χ(w), the zero of ψ − w near `start`, proven; real for real balls."""
        real = isinstance(w, arb)
        atoms = None if self.atoms is None else [(p, t) for p, t in self.atoms if not t.is_zero()]
        if atoms is not None and len(atoms) == 1:
            p, t = atoms[0]
            return w / ((p + w) * t)
        part = (lambda z: z.real) if real else (lambda z: z)
        what = f"χ of {self.activation.name} at w = {complex(acb(w).mid()):.6g}"
        return enclosed_zero(lambda y: part(self.psi(acb(y))) - w, lambda y: part(self.psi_slope(acb(y))), start, what)

    def spread(self, y: arb, mean: arb) -> arb:
        """Var X of X = 1/(1 − yφ'²), 0 < y < 1/sup φ'², given E X."""
        centre = acb(mean.mid())
        bound = (1 + y * self._reach(acb(y)) + mean) ** 2
        off = mean - mean.mid()
        return self._expected(lambda t: (1 / (1 - y * t) - centre) ** 2, bound).real - off * off

    def real_chi_near(self, w: arb, y: arb) -> arb:
        """A number near χ(w), w > ψ(y) > 0: Newton's method for 1/ψ(1/s) = 1/w, concave in s and nearly linear."""
        s, least = 1 / y.mid(), self.largest
        for _ in range(GUESSES):
            one = acb(1 / s)
            psi, rate = self.psi(one).real.mid(), self.psi_slope(one).real.mid()
            if abs(psi / w - 1) < 1e-3 or s / least - 1 < 1e-13:
                break
            # d(1/ψ)/ds = ψ'/(sψ)².
            s = (s - (1 / psi - 1 / w) * (s * psi) ** 2 / rate).mid().max(((s + least) / 2).mid())
        return 1 / s

    def _reach(self, y: acb) -> arb:
        """An upper bound of t/|1 − yt| over the t of the law."""
        top = self.largest
        y = acb(y)
        distance = abs(1 / y - acb(top / 2)).lower() - (top / 2).upper() if not y.is_zero() else arb(0)
        if y.imag.is_zero() or not (y.imag > 0 or y.imag < 0):
            # Real: 1 − yt ≥ 1 − y·top for y > 0, ≥ 1 for y < 0.
            least = (1 - y.real * top).min(arb(1)).lower()
            return top / least if least > 0 else arb("inf")
        off = abs((1 / y).imag).lower().max(distance)
        return top / (abs(y).lower() * off) if off > 0 else arb("inf")

    def _expected(self, function: Any, bound: arb) -> acb:
        if self.atoms is not None:
            return sum((p * function(acb(t)) for p, t in self.atoms), acb(0))
        assert self._over is not None
        if self._over.bounded and not arb(bound).is_finite():
            raise ConvergenceError(f"y of {self.activation.name} is too near the cut of its law for a bound")
        return self._over.of_slope(function, bound)


@lru_cache(maxsize=4096)
def _closed_moment(activation: Activation, k: int) -> BallFunction:
    """μ_k as a function of q."""
    known = closed_form(activation)
    assert known is not None
    return BallFunction(known.moment.subs(K, k).doit().subs(Q, X))


def _slopes_at_zero(activation: Activation) -> tuple[arb, arb]:
    """φ'(0−) and φ'(0+)."""
    formulas, ends = activation._formulas(), [float("-inf"), *activation.kinks, float("inf")]
    at = [
        constant(slope) if not slope.free_symbols else BallFunction(slope)(acb(0))[0].real
        for (a, b), (_, slope) in zip(pairwise(ends), formulas, strict=True)
        if a <= 0.0 <= b
    ]
    return at[0], at[-1]


def value_at_zero(activation: Activation) -> arb:
    """φ(0)."""
    formulas, ends = activation._formulas(), [float("-inf"), *activation.kinks, float("inf")]
    for upper, (value, _) in zip(ends[1:], formulas, strict=True):
        if upper >= 0.0:
            return constant(value) if not value.free_symbols else BallFunction(value)(acb(0))[0].real
    raise AssertionError("no branch reaches 0; please report")
