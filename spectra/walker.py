"""Walking on the solutions of the master equation one point at a time: projection, critical points, poles."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ._types import Array
from .effort import spend
from .errors import ConvergenceError
from .master import MasterEquation
from .native import DONE, STRAYED
from .pointwise import PointEvaluator, Spot
from .pole import MARGINAL, Pole, pole_near

# Beyond this height above the real axis, relative, a critical point is no edge: the law there is a gap up to a density
# of the cube of this.
FLAT = 1e-6
# Im log u there that is rounding.
BLUNT = 1e-14
MAX_STEPS = 4000
# d log u/d log ζ that may be rounding.
LEVEL = 1e-5
# Steps of the search that meets the constraints at every one, and how long, in log ζ, they may be.
PROJECTIONS, NEARBY = 15, 0.5
# From this |ζ| on, near w = −1, it is worth its price.
BENT = 3.0
# Moves of v by less than this part of its distance to a cut may be rounding.
NEARER = 1e-3
# An edge that moves by more than this when the laws of D² become finer is another one.
MOVED = 1e-4


@dataclass(frozen=True)
class Edge:
    """An end of a bulk: a critical point of log u (exponent ½) or an atom, of mass zero (−½) or one it touches (0)."""

    zeta: complex
    v: Array
    log_u: float
    exponent: float = 0.5

    @property
    def at_pole(self) -> bool:
        """Whether an atom, of whatever mass, is the end."""
        return self.exponent <= 0.0 and self.zeta == 1.0


@dataclass(frozen=True)
class Arc:
    """A stretch of the support, u increasing, with a coarse table of the solution on it.

    `first` and `last` are the edges at its ends; None means that it begins or fades out without a square root;
    `rates` are d log ζ/dU and d log v_k/dU, `turns` their derivatives in U, NaN where not known, (K + 1, n);
    `fading` is d log p/dU where it is left, `until` where its tail ends in a gap, if it does: also where that goes on,
    with next to no density, from an edge that it blunts by less than rounding.
    """

    first: Edge | None
    last: Edge | None
    log_u: Array
    zeta: Array
    v: Array
    rates: Array
    turns: Array
    fading: float = 0.0
    until: float = math.inf

    def part(self, which: Array | slice, **ends: Edge) -> Arc:
        """Return the arc with some of the points of its table only, and with other `ends` where they are named."""
        rows = (self.zeta, self.v, self.rates, self.turns)
        zeta, v, rates, turns = (row[..., which] for row in rows)
        return replace(self, log_u=self.log_u[which], zeta=zeta, v=v, rates=rates, turns=turns, **ends)

    @property
    def low_u(self) -> float:
        """Log u where the arc begins."""
        return float(self.first.log_u if self.first is not None else self.log_u[0])


@dataclass(frozen=True)
class Survey:
    """What a sweep found: arcs in order of increasing u, atoms off zero as (log u, mass), u-steps taken.

    `doubtful`: where the last tail ends, if it does before λ = 0, could not be told.
    """

    arcs: tuple[Arc, ...]
    atoms: tuple[tuple[float, float], ...]
    steps: int
    doubtful: bool = False


class Walker:
    """Elementary moves on the curve of solutions of one equation; counts its steps."""

    def __init__(self, equation: MasterEquation) -> None:
        self.equation = equation
        self._evaluator = PointEvaluator(equation)
        self.laws = [factor.law for factor in equation.factors]
        self.steps = 0

    def _point(self, zeta: complex, v: Array) -> Spot:
        return self._evaluator.spot(zeta, v.ravel().tolist())

    def _on_cut(self, v: Array) -> bool:
        """Some v_k lies where its law has a density."""
        return any(law.has_density_at(x.real) for law, x in zip(self.laws, v.ravel(), strict=True))

    def _of_distance(self, v: Array, moves: Array) -> float:
        """By what part of its distance to an end of a law's cut, where ψ is not smooth, some v_k moves at most."""
        parts = [
            float(move / min(abs(1.0 - x * law.largest), abs(1.0 - x * law.smallest)))
            for law, x, move in zip(self.laws, v, moves, strict=True)
            if law.cut_density is not None
        ]
        return max(parts, default=0.0)

    def _project(self, zeta: complex, v: Array) -> Array | None:
        """v_k with ψ_k(v_k) as ζ demands, by Newton from a nearby v; None on failure."""
        v = v.reshape(-1).astype(complex)
        if not v.size:
            return v
        if self.equation.compiled is not None:
            spend(4 * self.equation.stack.size, 4 * v.size)
            state, found = self.equation.compiled.project(complex(zeta), v)
            if state in (DONE, STRAYED):
                return found if state == DONE else None
        size, real = math.inf, complex(zeta).imag == 0.0
        for _ in range(30):
            point = self._point(zeta, v)
            dv = -point.mends
            if not np.all(np.isfinite(dv)):
                return None
            moves = np.abs(dv) / np.abs(v)
            last, size, near = size, float(np.max(moves)), self._of_distance(v, moves)
            v = v + dv * min(1.0, 0.5 / size) if size > 0 else v
            if real:
                # Where a law has no density its v is real, and what it has of an imaginary part rounding.
                off_cut = [not law.has_density_at(x.real) for law, x in zip(self.laws, v, strict=True)]
                v[off_cut] = v[off_cut].real
            # Newton's method has arrived, or what is left is rounding: unless it is coming from the very end of a cut.
            if size < 1e-14 or (size < 1e-10 and size > 0.3 * last and near < NEARER):
                return v
        return v if size < 1e-10 else None

    def _critical(self, zeta: complex, v: Array) -> Edge | None:
        """Newton's method for d log u/dζ = 0, with the constraints: in log ζ, and in ζ where w is near 0."""
        if abs(zeta) > 0.1:
            return self._critical_in(zeta, v, logarithmic=True)
        return self._critical_in(zeta, v, logarithmic=False) or self._critical_in(zeta, v, logarithmic=True)

    def _critical_in(self, zeta: complex, v: Array, *, logarithmic: bool) -> Edge | None:
        start = v.reshape(-1).astype(complex)
        found = self._critical_point(complex(zeta), start, logarithmic)
        if found is None and abs(zeta) > BENT:
            found = self._by_projection(complex(zeta), start)
        if found is None:
            return None
        zeta, v = found
        projected = self._project(zeta, v)
        if projected is None:
            return None
        pole = self._pole(projected) if abs(1.0 - zeta) < 1e-7 else None
        if pole is not None and abs(pole.mass) < MARGINAL:
            return self._edge_at(pole)
        return Edge(zeta, projected, self._point(zeta, projected).log_u.real)

    def _critical_point(self, zeta: complex, v: Array, logarithmic: bool) -> tuple[complex, Array] | None:
        # An explicit equation has its edges in extended precision.
        if self.equation.compiled is not None and not self.equation.is_explicit:
            spend(8 * self.equation.stack.size, 8 * v.size)
            state, *found = self.equation.compiled.critical(zeta, v, logarithmic=logarithmic)
            if state in (DONE, STRAYED):
                return (found[0], found[1]) if state == DONE else None
        real, size = zeta.imag == 0.0, math.inf
        for _ in range(60):
            point = self._point(zeta, v)
            span = zeta if logarithmic else max(abs(zeta), 0.05)
            first = point.slope * span
            second = point.bend * span**2 + (first if logarithmic else 0.0)
            if second == 0 or not np.isfinite(abs(first) + abs(second)):
                return None
            move = -first / second
            if real:
                move = move.real + 0j
            move *= min(1.0, 0.5 / abs(move)) if move else 1.0
            new = zeta * np.exp(move) if logarithmic else zeta + move * span
            if v.size:
                dv = point.along(new - zeta, bent=abs(move) < 0.1) - point.mends
                big = float(np.max(np.abs(dv) / np.abs(v)))
                if not math.isfinite(big) or big > 2.0:
                    return None
                v = v + dv
            if abs(move) < 1e-3:
                # The last steps in all digits there are.
                new = self.equation.complex_type()(new)
            zeta, last, size = new, size, abs(move)
            # Steps that no longer shrink are rounding, unless the slope is still there: next to the cut of a law the
            # scale of everything may be less than 1e-8.
            if size < 1e-13 or (size < 1e-8 and size >= 0.5 * last and abs(point.slope * zeta) < LEVEL):
                return zeta, v
        return None

    def _by_projection(self, zeta: complex, v: Array) -> tuple[complex, Array] | None:
        """The same in log ζ alone, the constraints met at every step: near w = −1 they bend d log u/dζ most."""
        size = math.inf
        for _ in range(PROJECTIONS if v.size else 0):
            projected = self._project(zeta, v)
            if projected is None:
                return None
            v = projected
            point = self._point(zeta, v)
            first = point.slope * zeta
            second = point.bend * zeta**2 + first
            if second == 0 or not np.isfinite(abs(first) + abs(second)):
                return None
            move = -first / second
            last, size = size, abs(move)
            if size > NEARBY:
                return None
            zeta *= np.exp(move)
            if size < 1e-13 or (size < 1e-8 and size >= 0.5 * last and abs(first) < LEVEL):
                return zeta, v
        return None

    def _extrapolate(self, point: Spot, v: Array, step: complex) -> Array | None:
        if not v.size:
            return v
        move = point.along(step)
        return v + move if np.isfinite(move).all() else None

    def _monotone(self, old: Array, new: Array) -> bool:
        """No v_k moved back or jumped over a pole of its ψ, or over a cut."""
        for law, a, b in zip(self.laws, old.ravel(), new.ravel(), strict=True):
            if b.real < a.real - 1e-12 * abs(a) or abs(b.imag) > 1e-9 * abs(b):
                return False
            if any(a.real * place < 1.0 < b.real * place for place, mass in law.atoms if mass > 0.0 and place > 0.0):
                return False
            if any(a.real * high < 1.0 < b.real * low for low, high in law.cuts):
                return False
        return True

    def _pole(self, v: Array) -> Pole | None:
        """The common pole of w near v."""
        return pole_near(self.equation, v)

    def _edge_at(self, pole: Pole) -> Edge:
        """The end of an arc at an atom: an inverse square root beside one of mass zero, a bounded density else."""
        return Edge(1.0 + 0j, pole.v, pole.log_u, -0.5 if abs(pole.mass) < MARGINAL else 0.0)

    def _hidden_edge(self, pole: Pole) -> Edge:
        """The edge beside a pole that is `hidden` there, which ζ and v themselves can hardly tell from it."""
        s, v, offset = pole.edge
        return Edge(self.equation.complex_type()(1.0) - s, v.astype(complex), pole.log_u + offset)

    def _flat(self, edge: Edge) -> bool:
        """Whether a critical point is on the real axis, as far as the density can tell."""
        near = abs(edge.zeta.imag) < FLAT * max(abs(edge.zeta.real), 0.05)
        if not (near and all(abs(x.imag) < FLAT * abs(x) for x in edge.v)):
            return False
        # On the cut of a law, however thin, it is off the axis: by so much is the square root blunted.
        blunted = self._on_cut(edge.v) and abs(self._point(complex(edge.zeta), edge.v).log_u.imag)
        return not blunted > BLUNT * (1.0 + abs(edge.log_u))

    def _count(self, steps: int = 1) -> None:
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise ConvergenceError(f"the sweep along the spectrum did not finish in {MAX_STEPS} steps")

    def polished(self, edge: Edge | None) -> Edge | None:
        """The same edge of another equation; None where it is not there."""
        if edge is None:
            return None
        if edge.at_pole:
            pole = self._pole(edge.v)
            same = pole is not None and (abs(pole.mass) < MARGINAL) == (edge.exponent < 0.0)
            return replace(edge, v=pole.v, log_u=pole.log_u) if pole is not None and same else None
        found = self._critical(complex(edge.zeta), edge.v)
        # On the other side of where the cut of a law begins, however thin, is another one.
        if found is None or found.exponent != edge.exponent or self._on_cut(found.v) != self._on_cut(edge.v):
            return None
        return found if abs(found.log_u - edge.log_u) < MOVED * (1.0 + abs(edge.log_u)) else None
