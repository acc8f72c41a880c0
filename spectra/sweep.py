"""One sweep along the real axis from λ = ∞ to λ = 0: gaps, edges, atoms and bulks of the law, in order.

In a gap ζ and all v_k are real and increase with u.  A bulk begins where d log u/dζ = 0; there the solution leaves for
the upper half plane and is followed, step by step, until it comes down at the next such point.  Passing ζ = 1 in a gap
is an atom.  The sweep gives the shape of the law and starting values; precision is the business of `spectra.chart`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .continuation import locate
from .errors import ConvergenceError
from .master import MasterEquation, Point
from .pointwise import PointEvaluator
from .solve import CERTIFIED, measure, solve

# Beyond this height above the real axis, relative, a critical point is an edge: the law there is a gap up to a density
# of the cube of this.
FLAT = 1e-6
# An atom of less mass than this is none: the density has an inverse square root there instead.
MARGINAL = 1e-11
MAX_STEPS = 4000
# Squares of v must stay in the range of doubles; λ has left it long before.
LARGEST_V = 1e140
# Residual that is good enough for a table of starting values.
ROUGH = 1e-4
# log density in U, and log of the mass beyond, at which a fading arc is left: the mass is below 1e-16.
THIN = -37.0


@dataclass(frozen=True)
class Edge:
    """An end of a bulk: a critical point of log u (exponent ½), or the place of an atom of mass zero (−½)."""

    zeta: complex
    v: np.ndarray
    log_u: float
    exponent: float = 0.5


@dataclass(frozen=True)
class Arc:
    """A stretch of the support, u increasing, with a coarse table of the solution on it.

    `first` and `last` are the edges at its ends; None means that it begins or fades out without a square root;
    `fading` is d log p/dU where it is left.
    """

    first: Edge | None
    last: Edge | None
    log_u: np.ndarray
    zeta: np.ndarray
    v: np.ndarray
    fading: float = 0.0

    @property
    def low_u(self) -> float:
        """log u where the arc begins."""
        return float(self.first.log_u if self.first is not None else self.log_u[0])


@dataclass(frozen=True)
class Survey:
    """What a sweep found: arcs in order of increasing u, atoms off zero as (log u, mass), u-steps taken."""

    arcs: tuple[Arc, ...]
    atoms: tuple[tuple[float, float], ...]
    steps: int


class Sweep:
    """State of one sweep; `run` returns the `Survey`."""

    def __init__(self, equation: MasterEquation) -> None:
        self.equation = equation
        self._evaluator = PointEvaluator(equation)
        self.laws = [factor.law for factor in equation.factors]
        self.arcs: list[Arc] = []
        self.atoms: list[tuple[float, float]] = []
        self.steps = 0
        # A gap that reaches this far down reaches λ = 0.
        self._end_of_gaps = equation.constant + 600.0

    # -- one point at a time ------------------------------------------------------------------------------------

    def _point(self, zeta: complex, v: np.ndarray) -> Point:
        return self._evaluator(zeta, v.reshape(-1))

    def _on_cut(self, v: np.ndarray) -> bool:
        """Some v_k lies where its law has a density."""
        for law, x in zip(self.laws, v.ravel(), strict=True):
            if law.cut_density is not None and 1.0 < x.real * law.largest and x.real * law.smallest < 1.0:
                return True
        return False

    def _project(self, zeta: complex, v: np.ndarray) -> np.ndarray | None:
        """v_k with ψ_k(v_k) as ζ demands, by Newton from a nearby v; None on failure."""
        v = v.reshape(-1).astype(complex)
        if not v.size:
            return v
        for _ in range(30):
            point = self._point(zeta, v)
            dv = -(point.mismatch / point.steepness)[:, 0]
            if not np.all(np.isfinite(dv)):
                return None
            size = float(np.max(np.abs(dv) / np.abs(v)))
            v = v + dv * min(1.0, 0.5 / size) if size > 0 else v
            if size < 1e-14:
                return v
        return v if size < 1e-10 else None

    # -- critical points ----------------------------------------------------------------------------------------

    def _critical(self, zeta: complex, v: np.ndarray) -> Edge | None:
        """Newton's method for d log u/dζ = 0, with the constraints: in log ζ, and in ζ where w is near 0."""
        if abs(zeta) > 0.1:
            return self._critical_in(zeta, v, logarithmic=True)
        return self._critical_in(zeta, v, logarithmic=False) or self._critical_in(zeta, v, logarithmic=True)

    def _critical_in(self, zeta: complex, v: np.ndarray, *, logarithmic: bool) -> Edge | None:
        v = v.reshape(-1).astype(complex)
        real = zeta.imag == 0.0
        zeta = self.equation.complex_type()(zeta)
        size = math.inf
        for _ in range(60):
            point = self._point(zeta, v)
            slope, bend = point.slope[0], point.bend[0]
            span = zeta if logarithmic else max(abs(zeta), 0.05)
            first = slope * span
            second = bend * span**2 + (first if logarithmic else 0.0)
            if second == 0 or not np.isfinite(abs(first) + abs(second)):
                return None
            move = -first / second
            if real:
                move = move.real + 0j
            move *= min(1.0, 0.5 / abs(move)) if move else 1.0
            new = zeta * np.exp(move) if logarithmic else zeta + move * span
            if v.size:
                step = new - zeta
                dv = point.rates[:, 0] * step - (point.mismatch / point.steepness)[:, 0]
                if abs(move) < 0.1:
                    dv = dv + 0.5 * point.curls[:, 0] * step**2
                big = float(np.max(np.abs(dv) / np.abs(v)))
                if not math.isfinite(big) or big > 2.0:
                    return None
                v = v + dv
            zeta, last, size = new, size, abs(move)
            if size < 1e-13 or (size < 1e-8 and size >= 0.5 * last):
                projected = self._project(zeta, v)
                if projected is None:
                    return None
                exponent = -0.5 if abs(1.0 - zeta) < 1e-7 else 0.5
                return Edge(zeta, projected, self._point(zeta, projected).log_u[0].real, exponent)
        return None

    # -- gaps ---------------------------------------------------------------------------------------------------

    def _gap(self, zeta: float, v: np.ndarray, after: Edge | None) -> tuple[str, float, np.ndarray, Edge | None]:
        """March along a gap from real (ζ, v): to the next edge ("edge"), the cut ("cut") or to u = ∞ ("end").

        ζ moves up: in log ζ where positive, linearly where negative (w between −rank and 0).
        """
        v = v.reshape(-1).real.astype(float)
        stride = 0.05 if after is not None else 0.7
        while True:
            self._count()
            point = self._point(zeta, v)
            span = zeta if zeta > 0.0 else max(-zeta, 0.05)
            first = float((point.slope[0] * span).real)
            second = float((point.bend[0] * span**2).real) + (first if zeta > 0.0 else 0.0)
            if first <= 0.0 and after is None:
                raise ConvergenceError("a gap of the spectrum was entered where d log u/dζ < 0")
            if zeta > 1.0 and (float(point.log_u[0].real) > self._end_of_gaps or zeta > 1e60):
                return "end", zeta, v, None
            if 0.0 < 1.0 - zeta < 1e-4:
                pole = self._pole(v)
                if pole is not None and pole[1] > -MARGINAL:
                    total, mass, places = pole
                    if mass < MARGINAL:
                        poles = np.array([1.0 / p for p, _, _ in places], complex)
                        return "edge", zeta, v, Edge(1.0 + 0j, poles, total, -0.5)
                    self.atoms.append((total, mass))
                    zeta, v = self._step_over(zeta, places)
                    if self._on_cut(v):
                        return "cut", zeta, v, None
                    after, stride = None, 0.05
                    continue
            if zeta > 1e4 and first * zeta < 1e5 and first < 1e-3:
                # log u stays finite as w passes −rank; a v_k that is large there passes infinity with it.
                far = np.abs(v) > 100.0
                crossed = self._project(-zeta, np.where(far, -v, v))
                if crossed is not None and self._monotone(v, np.where(far, v, crossed)) and not self._on_cut(crossed):
                    zeta, v, after = -zeta, crossed.real, None
                    stride = 0.3
                    continue
            ahead = -first / second if second < 0 else math.inf
            step = min(stride, 1.5 * ahead)
            # No further than half way to the next singularity: ζ = 1, or ζ = 1/d of some term.
            ahead_of = [1.0, *(1.0 / d for d, _ in self.equation.terms if d > 0.0)]
            distance = min((x - zeta for x in ahead_of if x > zeta), default=math.inf)
            if zeta > 0.0:
                step = min(step, 0.5 * distance / zeta)
            while True:
                new = zeta * math.exp(step) if zeta > 0 else zeta + step * span * (0.5 if zeta < -0.05 else 1.0)
                guess = self._extrapolate(point, v, new - zeta) if abs(new) > 1e-9 else None
                found = self._project(new, guess) if guess is not None else None
                if found is not None and self._monotone(v, found):
                    if self._on_cut(found):
                        return self._entered(zeta, v, new, found.real)
                    if self._point(new, found).slope[0].real > 0.0:
                        break
                    edge = self._bracketed(zeta, v, new, found.real)
                    if edge is not None:
                        return "edge", zeta, v, edge
                step *= 0.5
                if step < 1e-12:
                    return "cut", zeta, v, None
            zeta, v = new, found.real
            stride = min(2.0 * step, 2.0)
            after = None

    def _entered(self, zeta: float, v: np.ndarray, new: float, found: np.ndarray) -> tuple[str, float, np.ndarray, None]:
        """The first stretch of a step that reached the cut of some law: as near to its beginning as matters."""
        low, high, v_low, v_high = zeta, new, v, found
        for _ in range(60):
            middle = 0.5 * (low + high)
            between = self._project(middle, 0.5 * (v_low + v_high))
            if between is None or abs(high - low) < 1e-13 * abs(high):
                break
            if self._on_cut(between):
                high, v_high = middle, between.real
            else:
                low, v_low = middle, between.real
        return "cut", high, v_high, None

    def _bracketed(self, low: float, v_low: np.ndarray, high: float, v_high: np.ndarray) -> Edge | None:
        """The point between real `low` and `high` where d log u/dζ falls through 0."""
        start, stop = low, high
        for _ in range(80):
            edge = self._critical(complex(0.5 * (low + high)), 0.5 * (v_low + v_high)) if high - low < 0.3 else None
            if edge is not None and start <= edge.zeta.real <= stop and edge.zeta.imag == 0.0:
                return edge
            middle = 0.5 * (low + high)
            between = self._project(middle, 0.5 * (v_low + v_high))
            if between is None:
                return None
            if self._point(middle, between).slope[0].real > 0.0:
                low, v_low = middle, between.real
            else:
                high, v_high = middle, between.real
        return None

    def _extrapolate(self, point: Point, v: np.ndarray, step: complex) -> np.ndarray | None:
        if not v.size:
            return v
        move = point.rates[:, 0] * step + 0.5 * point.curls[:, 0] * step**2
        return v + move if np.all(np.isfinite(move)) else None

    def _monotone(self, old: np.ndarray, new: np.ndarray) -> bool:
        """No v_k moved back or jumped over a pole of its ψ."""
        for law, a, b in zip(self.laws, old.ravel(), new.ravel(), strict=True):
            if b.real < a.real - 1e-12 * abs(a) or abs(b.imag) > 1e-9 * abs(b):
                return False
            if any(a.real * place < 1.0 < b.real * place for place, mass in law.atoms if mass > 0.0 and place > 0.0):
                return False
        return True

    def _pole(self, v: np.ndarray) -> tuple[float, float, list[tuple[float, float, float]]] | None:
        """The common pole of w near v: log u there, the mass of the atom (≤ 0: none), each law's (place, mass, ω)."""
        equation = self.equation
        d, e = equation._d.ravel(), equation._e.ravel()  # type: ignore[attr-defined]
        rank = equation.rank
        if np.any(np.abs(e[d == 1.0]) > 1e-12):
            return None
        # log u = total − mass/w + …, w = rank/(1 − ζ): each factor adds the first term of its expansion at w = ∞.
        total = equation.constant + math.log(rank) + float((e * np.log1p(-d)).sum())
        mass = rank - float((e * d / (1.0 - d)).sum()) * rank
        places = []
        for law, x, n, omega in zip(self.laws, v, equation.counts.ravel(), equation.omegas.ravel(), strict=True):
            near = [(p, m) for p, m in law.atoms if p > 0.0 and abs(x * p - 1.0) < 0.2]
            if not near:
                return None
            place, weight = min(near, key=lambda pm: abs(x * pm[0] - 1.0))
            places.append((place, weight, omega))
            total -= n * math.log(place)
            mass -= n * (1.0 - weight) * rank / omega
        return total, mass, places

    def _beside_pole(self, zeta: complex, places: list[tuple[float, float, float]]) -> np.ndarray:
        """v_k near their poles for ζ near 1."""
        w = self.equation.rank * zeta / (1.0 - zeta)
        return np.array([(1.0 - m * self.equation.rank / (o * w)) / p for p, m, o in places])

    def _step_over(self, zeta: float, places: list[tuple[float, float, float]]) -> tuple[float, np.ndarray]:
        beyond = 1.0 / zeta
        found = self._project(beyond, self._beside_pole(beyond, places))
        if found is None:
            raise ConvergenceError("the sweep could not step over an atom of the spectrum")
        return beyond, found.real

    # -- bulks --------------------------------------------------------------------------------------------------

    def _bulk(self, edge: Edge | None, zeta: complex, v: np.ndarray, log_u: float) -> tuple[str, Edge | None]:
        """Follow the solution through the upper half plane; returns how the arc ended, and the edge there."""
        table_u: list[float] = []
        table_zeta: list[complex] = []
        table_v: list[np.ndarray] = []
        point = self._point(zeta, v)
        previous = math.inf
        ended: tuple[str, Edge | None] | None = None
        fading = 0.0
        while ended is None:
            self._count()
            table_u.append(log_u)
            table_zeta.append(complex(zeta))
            table_v.append(v.copy())
            rate_u = complex(point.slope[0]) * zeta
            second = complex(point.bend[0]) * zeta**2 + rate_u
            landing = self._landing(point, zeta, v, log_u)
            if landing is not None:
                ended = ("edge", landing)
                break
            if abs(1.0 - zeta) < 0.05 and (rate_u * (1.0 - zeta)).real > 0.0:
                pole = self._pole(v)
                if pole is not None and abs(pole[1]) < MARGINAL and pole[0] > log_u:
                    ended = ("edge", Edge(1.0 + 0j, np.array([1.0 / p for p, _, _ in pole[2]], complex), pole[0], -0.5))
                    break
            density = float(self.equation.log_density(np.array([zeta]))[0])
            fading = self._fading(point, zeta)
            step = 0.35 * abs(rate_u) ** 2 / max(abs(second), 1e-300)
            first_v = point.rates[:, 0] * zeta / (v * rate_u) if v.size else np.zeros(0)
            if v.size:
                # d log v/d log u and its derivative along the curve.
                dv = point.rates[:, 0] / point.slope[0]
                ddv = (point.curls[:, 0] - point.rates[:, 0] * point.bend[0] / point.slope[0]) / point.slope[0] ** 2
                change = np.abs(ddv / v - (dv / v) ** 2)
                step = min(step, float(np.min(0.35 * np.abs(first_v) / np.maximum(change, 1e-300))))
            if density > THIN:
                step = min(step, 6.0 / max(abs(fading), 1e-300))
            step = min(step, 3.0 * previous)
            lost = any(abs(x) * law.resolved > 0.3 for x, law in zip(v, self.laws, strict=True))
            beyond = any(abs(x) > LARGEST_V for x in v)
            if fading < 0.0 and (beyond or (lost and density < -16.0)):
                ended = ("end", None)
                break
            if density < THIN and fading < 0.0 and density - math.log(-fading) < THIN:
                ended = ("end", None)
                break
            # In a thin tail the small imaginary parts need all digits.
            rough = ROUGH if density > -9.0 else 0.0
            while True:
                target = log_u + step
                x = step / rate_u - 0.5 * second / rate_u**3 * step**2
                guess = zeta * np.exp(x)
                guess_v = v
                if v.size:
                    bend_v = (ddv / v - (dv / v) ** 2) * step**2 / 2.0
                    guess_v = v * np.exp(dv / v * step + bend_v)
                if guess.imag > 0 and np.all(guess_v.imag > 0):
                    found = self._follow(target, guess, guess_v, rough)
                    if found is not None:
                        break
                step *= 0.4
                if not step > 1e-9 * (1.0 + abs(log_u)):
                    # Where dψ_k/dv_k = 0, ζ is no coordinate of the curve: pass that point by the sure way.
                    target, found = self._jump(log_u)
                    step = 0.05
                    break
            if found is None:
                if density > THIN / 2 or fading >= 0.0:
                    raise ConvergenceError(f"the sweep lost the solution at log u = {log_u:.6g}")
                ended = ("end", None)
                break
            previous = step
            log_u, point = target, found
            zeta, v = complex(point.zeta[0]), point.v[:, 0]
        arc_v = np.array(table_v).reshape(len(table_v), v.size).T
        self.arcs.append(Arc(edge, ended[1], np.array(table_u), np.array(table_zeta), arc_v, fading))
        return ended

    def _landing(self, point: Point, zeta: complex, v: np.ndarray, log_u: float) -> Edge | None:
        """The edge just ahead on the real axis, where Newton's method for d log u/dζ = 0 sees one."""
        slope, bend = complex(point.slope[0]), complex(point.bend[0])
        if bend == 0.0:
            return None
        ahead = -slope / bend
        # Forward along the curve dζ = d log u/slope, and within reach.
        if not (abs(ahead) < 0.6 * max(abs(zeta), 0.05) and (ahead * slope).real > 0.0):
            return None
        edge = self._critical(zeta, v)
        if edge is None or edge.log_u <= log_u or not self._flat(edge):
            return None
        return edge if abs(edge.zeta - zeta) < 3.0 * abs(ahead) + 1e-12 * abs(zeta) else None

    def _follow(self, log_u: float, zeta: complex, v: np.ndarray, tolerance: float) -> Point | None:
        """Newton's method from a good start; None where it strays or leaves the upper half plane."""
        target = np.array([log_u])
        start, last = zeta, math.inf
        for _ in range(12):
            point = self._point(zeta, v)
            size = float(measure(self.equation, point, target)[0])
            if size <= tolerance or (size < CERTIFIED and size > 0.3 * last):
                return point
            if not size < max(10.0 * last, 1.0):
                return None
            with np.errstate(all="ignore"):
                dzeta, dv = self.equation.newton_step(point, target)
            zeta, v, last = zeta + complex(dzeta[0]), v + dv.reshape(-1), size
            strayed = not abs(zeta - start) < 0.3 * abs(start) or zeta.imag <= 0.0
            if strayed or (v.size and not v.imag.min() > 0.0):
                return None
        return None

    def _jump(self, log_u: float) -> tuple[float, Point | None]:
        """The solution a little further along the axis, found without a starting value, if at all."""
        for distance in (1e-4, 1e-3, 1e-2, 0.1):
            try:
                roots = locate(self.equation, np.array([log_u + distance]))
            except ConvergenceError:
                continue
            if roots.certified[0]:
                return log_u + distance, self._point(complex(roots.zeta[0]), roots.v[:, 0])
        return log_u, None

    def _fading(self, point: Point, zeta: complex) -> float:
        """d log(density in log λ)/d log u."""
        dw = self.equation.rank / (1.0 - zeta) ** 2 / complex(point.slope[0])
        w = self.equation.rank * zeta.imag / abs(1.0 - zeta) ** 2
        return float(dw.imag / w)

    def _flat(self, edge: Edge) -> bool:
        return abs(edge.zeta.imag) < FLAT * max(abs(edge.zeta.real), 0.05) and all(abs(x.imag) < FLAT * abs(x) for x in edge.v)

    def _count(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise ConvergenceError(f"the sweep along the spectrum did not finish in {MAX_STEPS} steps")

    def _leave(self, edge: Edge) -> tuple[complex, np.ndarray, float]:
        """A first point in the upper half plane beside an edge where a bulk begins."""
        if edge.exponent < 0.0 and self.laws:
            return self._leave_pole(edge)
        base = edge.zeta.real
        point = self._point(complex(base), edge.v.real)
        second = abs(complex(point.bend[0]) * base**2)
        offset = 0.15
        while offset > 1e-7:
            guess = base * np.exp(1j * offset * (1.0 if base > 0 else -1.0))
            step = guess - base
            guess_v = edge.v.real.astype(complex)
            if guess_v.size:
                guess_v = guess_v + point.rates[:, 0].real * step + 0.5 * point.curls[:, 0].real * step**2
            target = edge.log_u + 0.5 * second * offset**2
            if np.all(guess_v.imag > 0):
                found = self._follow(float(target), guess, guess_v, ROUGH)
                if found is not None and abs(np.log(found.zeta[0] / guess)) < 0.5 * offset:
                    return complex(found.zeta[0]), found.v[:, 0], target
            offset *= 0.5
        raise ConvergenceError(f"no solution was found beside the edge at log u = {edge.log_u:.6g}")

    def _after_pole(self, landing: Edge) -> tuple[str, float, np.ndarray, Edge | None]:
        """Beyond an inverse square root: a gap if a real solution goes on from there, else the next arc."""
        pole = self._pole(landing.v.real)
        if pole is not None:
            zeta = math.exp(1e-3)
            found = self._project(zeta, self._beside_pole(zeta, pole[2]))
            if found is not None and not self._on_cut(found):
                slope = self._point(complex(zeta), found.real).slope[0].real
                if slope > 0.0:
                    return self._gap(zeta, found.real, landing)
        return "edge", 1.0, landing.v.real, landing

    def _leave_pole(self, edge: Edge) -> tuple[complex, np.ndarray, float]:
        for step in (0.1, 0.03, 0.01, 1e-3, 1e-4):
            try:
                roots = locate(self.equation, np.array([edge.log_u + step]))
            except ConvergenceError:
                continue
            if roots.certified[0]:
                return complex(roots.zeta[0]), roots.v[:, 0], edge.log_u + step
        raise ConvergenceError(f"no solution was found beside the edge at log u = {edge.log_u:.6g}")

    def run(self) -> Survey:
        """Sweep from λ = ∞ to λ = 0."""
        zeta, v = self._first_point()
        edge: Edge | None = None
        how, zeta, v, edge = self._gap(zeta, v, None)
        while how != "end":
            if how == "edge":
                assert edge is not None
                begin, v_begin, log_u = self._leave(edge)
            else:
                begin, v_begin, log_u = self._rise(zeta, v)
                edge = None
            how, landing = self._bulk(edge, begin, v_begin, log_u)
            if how == "end":
                break
            assert landing is not None
            if landing.exponent < 0.0:
                how, zeta, v, edge = self._after_pole(landing)
                continue
            point = self._point(complex(landing.zeta.real), landing.v.real)
            if (point.bend[0] * landing.zeta.real**2).real < 0.0:
                # A fading tail has met the next bulk.
                how, edge = "edge", landing
                continue
            if self._on_cut(landing.v):
                how, zeta, v = "tail", landing.zeta.real * math.exp(0.05), landing.v.real
                zeta, v, log_u = self._descend(landing)
                how, next_edge = self._bulk(landing, zeta, v, log_u)
                if how == "end":
                    break
                how, edge = "edge", next_edge
                continue
            how, zeta, v, edge = self._gap(landing.zeta.real, landing.v.real, landing)
        return Survey(tuple(self.arcs), tuple(self.atoms), self.steps)

    def _first_point(self) -> tuple[float, np.ndarray]:
        """ζ so small that every v_k ≈ w_k is below its first singularity."""
        zeta = 0.05
        omegas = self.equation.omegas.ravel()
        while zeta > 1e-14:
            guess = np.array([zeta * o / (1.0 + o * zeta) for o in omegas])
            found = self._project(zeta, guess)
            if found is not None and all(
                0.0 < x.real * law.largest < 0.9 and abs(x.imag) < 1e-9 * abs(x)
                for x, law in zip(found, self.laws, strict=True)
            ):
                point = self._point(zeta, found.real)
                if (point.slope[0] * zeta).real > 0.5:
                    return zeta, found.real
            zeta *= 0.25
        raise ConvergenceError("no gap was found at λ → ∞: the law of φ'² seems unbounded")

    def _rise(self, zeta: float, v: np.ndarray) -> tuple[complex, np.ndarray, float]:
        """From a gap onto the cut: the point just beyond, its height found by Newton's method."""
        point = self._point(complex(zeta), v)
        log_u = float(point.log_u[0].real)
        for height in (1e-12, 1e-8, 1e-4, 1e-2, 1e-1):
            guess = zeta * np.exp(1j * height)
            guess_v = (v + point.rates[:, 0].real * zeta * 1j * height) if v.size else v.astype(complex)
            guess_v = guess_v.real + 1j * np.maximum(guess_v.imag, 1e-3 * height * np.abs(guess_v))
            roots = solve(self.equation, np.array([log_u]), np.array([guess]), guess_v.reshape(guess_v.size, 1), max_steps=30)
            if roots.certified[0] and abs(np.log(roots.zeta[0] / zeta)) < 0.3:
                return complex(roots.zeta[0]), roots.v[:, 0], log_u
        raise ConvergenceError(f"no solution was found where the spectrum begins, log u = {log_u:.6g}")

    def _descend(self, landing: Edge) -> tuple[complex, np.ndarray, float]:
        """Beyond an edge whose far side is not empty but a tail of exponentially small density."""
        base = landing.zeta.real
        for step in (0.1, 0.03, 0.01, 1e-3, 1e-4):
            zeta = base * math.exp(step if base > 0 else -step)
            point = self._point(complex(base), landing.v.real)
            guess = self._extrapolate(point, landing.v.real, zeta - base)
            if guess is None:
                continue
            found = self._project(zeta, guess.real)
            if found is None:
                continue
            try:
                return self._rise(zeta, found.real)
            except ConvergenceError:
                continue
        raise ConvergenceError(f"the tail beyond the edge at log u = {landing.log_u:.6g} could not be entered")


def survey(equation: MasterEquation) -> Survey:
    """Gaps, edges, atoms and bulks of the law that `equation` describes."""
    with np.errstate(all="ignore"):
        return Sweep(equation).run()

