"""Gaps of the spectrum: real solutions followed from one end to the other, and the atoms inside."""

from __future__ import annotations

import math

import numpy as np

from ._types import Array
from .effort import spend
from .errors import ConvergenceError
from .master import MasterEquation
from .pointwise import Spot
from .pole import MARGINAL, Pole
from .walker import Edge, Walker

# So many times farther than the last singularity, corrections of second order are below a part in a million.
BEYOND = 1e3
# Part of the way to the next ζ where something is singular that one step goes at most: v is smooth there.
TOWARDS = 0.8
# Steps as short as this, where derivatives that are real have an imaginary part of more than this, lead nowhere.
SHORT, IMAGINARY = 1e-3, 1e-3
# How near, relative, v_k must be to the cut of its law for a step that fails to have led there.
BESIDE_CUT = 1e-6
# How near it is the cut itself, as far as doubles can tell; steps of Newton's method on the way there, at most.
AT_CUT, MOST_HALVES = 1e-14, 80


def _is_coarse(point: Spot, span: float) -> bool:
    """Whether a law's complex nodes, that add up to real sums in a gap, are too coarse for that."""
    first, second = complex(point.slope) * span, complex(point.bend) * span**2
    return max(abs(first.imag), abs(second.imag)) > IMAGINARY * (1.0 + abs(second))


class GapWalker(Walker):
    """Marches along gaps; collects the atoms it passes."""

    def __init__(self, equation: MasterEquation) -> None:
        super().__init__(equation)
        self.atoms: list[tuple[float, float]] = []
        # A gap that reaches this far down reaches λ = 0.
        self._end_of_gaps = equation.constant + 600.0
        of_laws = equation.gaps.ravel()
        self._d = [*(d for d, _ in equation.terms), *of_laws]
        # ζ at which some v_k pass infinity, and which.
        self._places = [(1.0 / d, of_laws == d) for d in sorted({d for d in of_laws.tolist() if d > 1e-12})]

    def _gap(self, zeta: float, v: Array, after: Edge | None) -> tuple[str, float, Array, Edge | None]:
        """March along a gap from real (ζ, v): to the next edge ("edge"), the cut ("cut") or to u = ∞ ("end").

        ζ moves up: in log ζ where positive, linearly where negative (w between −rank and 0).
        """
        zeta, v = float(zeta), v.reshape(-1).real.astype(float)
        stride = 0.05 if after is not None else 0.7
        point: Spot | None = None
        while True:
            if after is None and 0.0 < zeta < 1.0:
                zeta, v, stride, point = self._strode(zeta, v, stride, point)
            self._count()
            if point is None:
                point = self._point(zeta, v)
            linear = self._is_linear(zeta, v)
            span = max(abs(zeta), 0.05) if linear else zeta
            first = float((point.slope * span).real)
            second = float((point.bend * span**2).real) + (0.0 if linear else first)
            if first <= 0.0 and after is None:
                raise ConvergenceError("a gap of the spectrum was entered where d log u/dζ < 0")
            if zeta > 1.0 and (float(point.log_u.real) > self._end_of_gaps or zeta > 1e60):
                return "end", zeta, v, None
            if first + second > 0.5 * first > 0.0 and self._is_last(zeta, v):
                return "end", zeta, v, None
            if 0.0 < 1.0 - zeta < 1e-4:
                pole = self._pole(v)
                near = self._hidden_edge(pole) if pole is not None and pole.hidden else None
                if near is not None and zeta < near.zeta.real < 1.0:
                    return "edge", zeta, v, near
                if pole is not None and pole.mass > -MARGINAL:
                    if pole.mass < MARGINAL:
                        return "edge", zeta, v, self._edge_at(pole)
                    self.atoms.append((pole.log_u, pole.mass))
                    if near is not None and near.zeta.real > 1.0:
                        return "edge", zeta, v, near
                    if pole.touched(1):
                        return "edge", zeta, v, self._edge_at(pole)
                    zeta, v = self._step_over(zeta, pole)
                    if self._on_cut(v):
                        return "cut", zeta, v, None
                    after, stride, point = None, 0.05, None
                    continue
            beyond = self._through_infinity(zeta, v, first, second) if after is None else None
            if beyond is not None:
                (zeta, v), stride, point = beyond, 0.3, None
                continue
            ahead = -first / second if second < 0 else math.inf
            shorter = 0.5 if linear and zeta < -0.05 else 1.0
            room = TOWARDS * self._ahead(zeta, v) / span
            # Far enough to pass a critical point just ahead.
            step = min(stride, 1.5 * ahead / shorter, room if linear else math.log1p(room))
            while True:
                new = zeta + step * span * shorter if linear else zeta * math.exp(step)
                guess = self._extrapolate(point, v, new - zeta)
                found = self._project(new, guess) if guess is not None else None
                if found is not None and self._monotone(v, found):
                    if self._on_cut(found):
                        before = self._before_cut(new, v) if after is None else None
                        if before is None:
                            return self._entered(zeta, v, new, found.real, after)
                        found = before
                    ahead_point = self._point(new, found.real)
                    # In a gap u grows with ζ; where it does not a whole bulk was stepped over.
                    grows = ahead_point.log_u.real >= point.log_u.real
                    if grows and ahead_point.slope.real > 0.0:
                        break
                    edge = self._bracketed(zeta, v, new, found.real) if ahead_point.slope.real <= 0.0 else None
                    if edge is not None:
                        return "edge", zeta, v, edge
                step *= 0.5
                if step < 1e-12:
                    if self._beside_cut(v):
                        return "cut", zeta, v, None
                    raise ConvergenceError(f"the laws are too coarse in a gap, log u = {point.log_u.real:.6g}")
            if step < SHORT and _is_coarse(ahead_point, span):
                raise ConvergenceError(f"the laws are too coarse beside their edges, log u = {point.log_u.real:.6g}")
            zeta, v, point = new, found.real, ahead_point
            # Beyond all singularities log u is linear in log ζ but for powers of 1/ζ.
            beyond = all(x * law.smallest > 1.0 for law, x in zip(self.laws, v, strict=True))
            beyond = beyond and second != 0.0 and not math.isfinite(self._ahead(zeta, v))
            stride = min(2.0 * step, max(2.0, 0.1 * first / abs(second)) if beyond else 2.0)
            after = None

    def _strode(
        self, zeta: float, v: Array, stride: float, point: Spot | None
    ) -> tuple[float, Array, float, Spot | None]:
        """ζ, v, the next stride and the point after plain steps that the compiled code makes at once."""
        compiled = None if self.equation.is_explicit else self.equation.compiled
        found = compiled.stride(zeta, v, stride) if compiled is not None else None
        if found is None:
            return zeta, v, stride, point
        steps, stride, reached = found
        spend(5 * self.equation.stack.size * steps, 5 * len(self.laws))
        self._count(steps)
        spot = Spot(*reached)
        return spot.zeta.real, np.real(np.array(spot.v)), stride, spot

    def _is_linear(self, zeta: float, v: Array) -> bool:
        """ζ itself is the coordinate where it is negative or passes 0, its logarithm elsewhere."""
        small = self.equation.omegas.ravel() * zeta
        return zeta <= 0.0 or (zeta < 0.05 and bool(v.size) and bool(np.all(np.abs(v) > 10.0 * small)))

    def _beside_cut(self, v: Array) -> bool:
        """Whether the next thing that some v_k meets is the cut of its law, and near."""
        # In units of where its cut begins.
        places = [x * law.cut_ahead(x) for x, law in zip(v, self.laws, strict=True)]
        return any(0.0 < 1.0 - place < BESIDE_CUT for place in places)

    def _is_last(self, zeta: float, v: Array) -> bool:
        """Beyond all singularities, so far that d log u/d log ζ is a constant but for the next power of 1/ζ."""
        behind = all(d * zeta > BEYOND for d in self._d if d > 1e-12)
        return behind and zeta > BEYOND and all(x * law.smallest > BEYOND for law, x in zip(self.laws, v, strict=True))

    def _ahead(self, zeta: float, v: Array) -> float:
        """Distance to the next ζ where something is singular: 1, 1/d of a term, 1/d_k where v_k goes to infinity."""
        places = [1.0, *(1.0 / d for d, _ in self.equation.terms if d > 0.0)]
        places += [place for place, far in self._infinities(v) if far.any()]
        return min((x - zeta for x in places if x > zeta), default=math.inf)

    def _infinities(self, v: Array) -> list[tuple[float, Array]]:
        """The ζ = 1/d_k < ∞, and which v_k are about to pass infinity there."""
        if not self._places:
            return []
        far = np.array([x * law.smallest > 30.0 for x, law in zip(v, self.laws, strict=True)], bool)
        return [(place, far & those) for place, those in self._places]

    def _through_infinity(self, zeta: float, v: Array, first: float, second: float) -> tuple[float, Array] | None:
        """Past ζ = 1/d_k, where v_k passes infinity, or past ζ = ∞, where w passes −rank; None if neither is near."""
        if zeta > 1e4 and abs(second + first) < 0.1 * first < 1e-4:
            # d log u/d log ζ falls off as 1/ζ: log u stays finite.
            far = np.abs(v) > 100.0
            return self._crossed(-zeta, v, far)
        for place, far in self._infinities(v):
            if far.any() and 0.0 < place - zeta < 1e-3 * place:
                return self._crossed(2.0 * place - zeta, v, far)
        return None

    def _crossed(self, zeta: float, v: Array, far: Array) -> tuple[float, Array] | None:
        """The solution at `zeta`, on the other side of infinity for the v_k that are `far`."""
        crossed = self._project(zeta, np.where(far, -v, v))
        if crossed is None or not self._monotone(v, np.where(far, v, crossed)) or self._on_cut(crossed):
            return None
        return zeta, crossed.real

    def _entered(
        self, zeta: float, v: Array, new: float, found: Array, after: Edge | None
    ) -> tuple[str, float, Array, Edge | None]:
        """The first stretch of a step that reached the cut of some law: as near to its beginning as matters.

        Or the edge before it, where there is one.
        """
        low, high, v_low, v_high = zeta, new, v, found
        for _ in range(60):
            middle = 0.5 * (low + high)
            if abs(high - low) < 1e-13 * abs(high):
                break
            between, in_gap = self._between(middle, v_low, v_high)
            if in_gap:
                low, v_low = middle, between
            else:
                high, v_high = middle, between
        if after is None and low > zeta and self._point(low, v_low).slope.real < 0.0:
            edge = self._bracketed(zeta, v, low, v_low)
            if edge is not None:
                return "edge", zeta, v, edge
        return "cut", high, v_high, None

    def _between(self, zeta: float, v_low: Array, v_high: Array) -> tuple[Array, bool]:
        """The real solution at `zeta` between two, and whether it is in the gap that v_low is in.

        What is not is a solution on a cut, or v_low again where none was found.
        """
        found = self._project(zeta, 0.5 * (v_low + v_high))
        if found is None or self._room(found) < AT_CUT:
            # On a thin cut there may be a root as near as the one in the gap before it.
            before = self._before_cut(zeta, v_low)
            if before is None:
                return (v_low if found is None else found.real), False
            found = before
        return found.real, True

    def _room(self, v: Array) -> float:
        """The distance of the v_k to the cuts before them, relative; negative where one is on its cut."""
        if self._on_cut(v):
            return -1.0
        places = [x.real * law.cut_ahead(x.real) for x, law in zip(v, self.laws, strict=True)]
        return min((1.0 - place for place in places if 0.0 < place < 1.0), default=math.inf)

    def _before_cut(self, zeta: float, v: Array) -> Array | None:
        """The solution at `zeta` beyond real v and before the cuts; None where there is none that doubles can tell.

        There ψ_k is convex: Newton's method oversteps the root, and may overstep the cut.
        """
        ends = np.array([law.cut_ahead(x) for law, x in zip(self.laws, v, strict=True)])
        ends[(v * ends <= 0.0) | (v * ends >= 1.0)] = 0.0
        far = np.where(ends > 0.0, 1.0 / np.where(ends > 0.0, ends, 1.0), math.inf)
        for _ in range(MOST_HALVES):
            move = -self._point(zeta, v.astype(complex)).mends.real
            half_way = 0.5 * (far - v)
            if not np.all(np.isfinite(move)) or np.min(half_way / np.abs(v)) < AT_CUT:
                return None
            v = v + np.minimum(move, half_way)
            if np.all(np.abs(move) <= np.minimum(1e-14 * np.abs(v) + 1e-9 * half_way, 1e-3 * half_way)):
                return None if self._on_cut(v) else v
        return None

    def _bracketed(self, low: float, v_low: Array, high: float, v_high: Array) -> Edge | None:
        """The point between real `low` and `high` where d log u/dζ falls through 0."""
        start, stop = low, high
        for _ in range(80):
            edge = self._critical(complex(0.5 * (low + high)), 0.5 * (v_low + v_high)) if high - low < 0.3 else None
            within = edge is not None and start <= edge.zeta.real <= stop and edge.zeta.imag == 0.0
            # Where the cut of a law has begun, however thin, it is another one.
            if within and not self._on_cut(edge.v):  # type: ignore[union-attr]
                return edge
            middle = 0.5 * (low + high)
            between, in_gap = self._between(middle, v_low, v_high)
            if in_gap and self._point(middle, between).slope.real > 0.0:
                low, v_low = middle, between
            else:
                high, v_high = middle, between
        return None

    def _step_over(self, zeta: float, pole: Pole) -> tuple[float, Array]:
        beyond = 1.0 / zeta
        found = self._project(beyond, pole.beside(beyond))
        if found is None:
            raise ConvergenceError("the sweep could not step over an atom of the spectrum")
        return beyond, found.real
