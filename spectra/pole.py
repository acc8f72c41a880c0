"""Where w = ψ_{JJᵀ} is infinite: the place and mass of an atom, and what is right beside it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ._types import Array
from .beside import LocalEquation, LocalRoots
from .master import MasterEquation

# An atom of less mass than this is none: the density has an inverse square root there instead.
MARGINAL = 1e-11
# An atom of so little mass, or so little short of one, has an edge within the rounding of λ.
NEARLY = 1e-4
# Combinations of atoms, at most, that are looked at.
MOST_POLES = 64
# Relative distance from an atom at which a law is asked whether it has a density there.
BESIDE = 1e-6


@dataclass(frozen=True)
class Pole:
    """A common pole of w and of every ψ_k.

    Attributes
    ----------
    equation : the master equation.
    log_u : log u there; the atom is at λ = 1/u.
    mass : of the atom; where it is not positive there is none.
    places, weights : a_k and m_k, (K,).
    """

    equation: MasterEquation
    log_u: float
    mass: float
    places: Array
    weights: Array

    @property
    def v(self) -> Array:
        """v_k = 1/a_k at the pole, (K,)."""
        return (1.0 / self.places).astype(complex)

    def beside(self, zeta: complex) -> Array:
        """v_k (K,) for ζ near 1, to first order."""
        w = self.equation.rank * zeta / (1.0 - zeta)
        return (1.0 - self.weights * self.equation.rank / (self.equation.omegas.ravel() * w)) / self.places

    @cached_property
    def _key(self) -> tuple[float, ...]:
        return tuple(self.places.tolist())

    @cached_property
    def local(self) -> LocalEquation:
        """The equation in relative distances from here."""
        # Poles are looked for again and again; what is beside one is formed once.
        known = self.equation.beside
        if self._key not in known:
            known[self._key] = self._formed()
        return known[self._key]

    def _formed(self) -> LocalEquation:
        equation = self.equation
        terms = [(d, e) for d, e in equation.terms if d != 1.0]
        laws = tuple(factor.law for factor in equation.factors)
        counts, omegas = equation.counts.ravel(), equation.omegas.ravel()
        return LocalEquation(self.drift, terms, laws, counts, omegas, self.places, self.weights)

    @property
    def drift(self) -> float:
        """−d log u/ds at the pole: mass/rank, 0 where the mass is only rounding."""
        return self.mass / self.equation.rank if abs(self.mass) >= MARGINAL else 0.0

    def touched(self, side: int) -> bool:
        """Whether a law has a density right beside its atom, towards larger u (side 1) or smaller u (side −1)."""
        known, asked = self.equation.beside, (side, self._key)
        if asked not in known:
            known[asked] = self._touches(side)
        return known[asked]

    def _touches(self, side: int) -> bool:
        for factor, place in zip(self.equation.factors, self.places, strict=True):
            density, v = factor.law.cut_density, (1.0 + side * BESIDE) / place
            if density is not None and factor.law.on_cut(v) and density.near(v) > 0.0:
                return True
        return False

    @property
    def ends_density(self) -> bool:
        """Whether the density of a law ends at its atom, as far as w = ∞ is no atom itself."""
        return abs(self.mass) < MARGINAL and self.touched(1) != self.touched(-1)

    @property
    def is_crossed(self) -> bool:
        """Whether w = ∞ is no atom and no density of a law ends at its atom, so that the law is known however near."""
        return abs(self.mass) < MARGINAL and self.touched(1) == self.touched(-1)

    @property
    def hidden(self) -> bool:
        """Whether there is an edge nearby that λ can hardly tell from it: an atom of nearly no mass, or nearly one."""
        return MARGINAL <= abs(self.mass) < NEARLY and self.equation.is_algebraic

    @cached_property
    def edge(self) -> tuple[float, Array, float]:
        """The hidden edge: s, v (K,) and log u − log u_0."""
        local, s = self.local, np.array([1e-6])
        bent = local.bent(s, local.straight(s))
        for _ in range(10):
            # The displacement without its drift is a square, but for relative corrections of the size of s.
            rate = (local.at(s, bent).rate + self.drift * s).real
            new = s * (self.drift * s / rate)
            s, bent = new, local.bent(new, bent * (new / s))
        return float(s[0]), (1.0 - bent[:, 0].real) / self.places, float(local.at(s, bent).value[0].real)

    def leave(self, distance: float, side: int = 1) -> tuple[complex, Array] | None:
        """The solution (ζ, v) at log u = log u_0 + `side`·`distance` above the real axis; None where none is found."""
        local = self.local
        if self.drift > 0.0:
            s = np.array([-distance / self.drift * (side + 0.1j)])
        else:
            # Without a drift the displacement is a square, with a logarithm at most.
            s = np.array([-1e-2j])
            root = np.sqrt(side * distance / local.at(s, local.straight(s)).value) * s
            s = np.where(root.imag > 0.0, -root, root)
        at = np.array([math.log(distance)])
        roots = local.solve(at, side, LocalRoots.guessed(at, s, local.straight(s)))
        return (complex(1.0 - roots.s[0]), self.v_at(roots.epsilon[:, 0])) if roots.certified[0] else None

    def v_at(self, epsilon: Array) -> Array:
        """v_k (K,) for ε_k (K,)."""
        return (1.0 - epsilon) / self.places


def heaviest_pole(equation: MasterEquation) -> Pole | None:
    """The pole at the heaviest atom of every law: the only one with a density or an atom of the product beside it."""
    atoms = [max(factor.law.atoms, key=lambda atom: atom[1], default=(0.0, 0.0)) for factor in equation.factors]
    if any(place == 0.0 for place, _ in atoms):
        return None
    return pole_near(equation, np.array([1.0 / place for place, _ in atoms]))


def poles_of(equation: MasterEquation) -> list[Pole]:
    """The poles at atoms, of mass zero or more, by rising log u; none where there are too many to be looked at."""
    choices = [[atom for atom in factor.law.atoms if atom[0] > 0.0] for factor in equation.factors]
    if choices and math.prod(map(len, choices)) > MOST_POLES:
        choices = _heavy(equation, choices)
    if not choices or math.prod(map(len, choices)) > MOST_POLES:
        return []
    near = [np.array([1.0 / place for place, _ in atoms]) for atoms in itertools.product(*choices)]
    poles = [pole for pole in (pole_near(equation, v) for v in near) if pole is not None and pole.mass > -MARGINAL]
    return sorted(poles, key=lambda pole: pole.log_u)


def _heavy(equation: MasterEquation, choices: list[list[tuple[float, float]]]) -> list[list[tuple[float, float]]]:
    """The atoms (place, mass) of every law that with the heaviest of all others make one of mass zero or more."""
    heaviest = heaviest_pole(equation)
    if heaviest is None:
        return []
    # What is left of the mass where one law has a lighter atom.
    prices = equation.counts.ravel() * equation.rank / equation.omegas.ravel()
    rows = zip(choices, heaviest.weights, prices, strict=True)
    return [[one for one in atoms if heaviest.mass - price * (top - one[1]) > -MARGINAL] for atoms, top, price in rows]


def pole_near(equation: MasterEquation, v: Array) -> Pole | None:
    """The pole with all v_k near `v` (K,), if there is one."""
    if any(d == 1.0 and abs(e) > 1e-12 for d, e in equation.terms):
        return None
    near: list[tuple[float, float]] = []
    for factor, x in zip(equation.factors, v.ravel().tolist(), strict=True):
        beside = [(abs(x * place - 1.0), place, mass) for place, mass in factor.law.atoms if place > 0.0]
        away, place, mass = min(beside, default=(math.inf, 0.0, 0.0))
        if not away < 0.2:
            return None
        near.append((place, mass))
    known, asked = equation.beside, ("pole", *(place for place, _ in near))
    if asked not in known:
        known[asked] = _expanded(equation, near)
    return Pole(equation, *known[asked])


def _expanded(equation: MasterEquation, near: list[tuple[float, float]]) -> tuple[float, float, Array, Array]:
    """Log u and the mass at the pole at these atoms (place, mass) of the laws, and arrays of both."""
    rank = equation.rank
    terms = [(d, e) for d, e in equation.terms if d != 1.0]
    # log u = total − mass/w + …, w = rank/(1 − ζ): each factor adds the first term of its expansion at w = ∞.
    total = equation.constant + math.log(rank) + sum(e * math.log1p(-d) for d, e in terms)
    mass = rank - sum(e * d / (1.0 - d) for d, e in terms) * rank
    for factor, (place, weight), omega in zip(equation.factors, near, equation.omegas.ravel(), strict=True):
        total -= factor.count * math.log(place)
        mass -= factor.count * (1.0 - weight) * rank / omega
    places, weights = np.array(near).reshape(-1, 2).T.copy()
    return float(total), float(mass), places, weights
