"""Bulks of the spectrum: the complex solution, from where it leaves the real axis to where it lands on it."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from ._types import Array
from .blunt import around
from .continuation import locate
from .course import Course
from .departure import BESIDE, EMPTY, Departure
from .effort import spend
from .errors import ConvergenceError
from .master import MasterEquation
from .pointwise import Spot, lifted
from .pole import MARGINAL, Pole, poles_of
from .solve import CERTIFIED
from .thin import LARGEST_V, LOST, THIN, columns
from .walker import FLAT, Arc, Edge

# Residual that is good enough for a table of starting values.
ROUGH = 1e-6
# log density in U below which there is only rounding, beyond the last node of a law of D².
NOTHING = -55.0
# How near an atom, as part of the way to it, a point before it may be; how many there are, or more, and parts of the
# way at which others are sought.
NEARER, ENOUGH, BEFORE = 1e-4, 3, (0.9, 0.75, 0.6, 0.45, 0.3, 0.15, 0.05)
# How far down, relative, one step of Newton's method leads to an edge that is near enough to be found.
DOWN = 0.4
# Log density in U below which imaginary parts are small.
SPARSE = -9.0
# How far ahead, in ζ, an atom is looked for, and a critical point: relative to |ζ|, or to this.
AHEAD = (0.05, 0.6, 0.05)
# How well, relative, a solution and the edge that it heads for must agree on the square root between them: to first
# order only, far from the edge.
SAME_ROOT = 0.7
# How near the axis, relative to the way there, log u is at a critical point that steps do not see.
SHARP = 0.02
# Residual of solutions beside it.
PASSED = 1e-12
# So many points passed by the sure way in one sweep mean that laws are too coarse for the plain one.
MOST_JUMPS = 40

# What plain steps go by (`native/march.h`).
PACE = (ROUGH, THIN, LOST, LARGEST_V, SPARSE, *AHEAD, DOWN, FLAT, CERTIFIED)


class BulkWalker(Departure):
    """Follows arcs through the upper half plane; collects them."""

    def __init__(self, equation: MasterEquation) -> None:
        super().__init__(equation)
        self.arcs: list[Arc] = []
        self._jumps = 0
        # A critical point ahead that is not on the axis.
        self._turn: Edge | None = None

    def _bulk(self, edge: Edge | None, zeta: complex, v: Array, log_u: float) -> tuple[str, Edge | None]:
        """Follow the solution through the upper half plane; returns how the arc ended, and the edge there.

        "edge" at an edge; "gap" where a tail has faded and the place returned is a real one beyond; "end" at λ = 0.
        """
        spot, step, fading = self._evaluator.spot(zeta, v.tolist()), math.inf, 0.0
        table: list[Array] = []
        begin = log_u if edge is None else float(edge.log_u)
        inside = next((pole for pole in self._inside if pole.log_u > begin), None)
        while True:
            log_u, spot, step, fading = self._marched(log_u, spot, step, fading, table)
            self._count()
            here = Course.at(spot)
            table.append(_row(log_u, here))
            self._turn = None
            landing = self._landing(spot, log_u) or self._pole_ahead(spot, log_u)
            if inside is not None and (log_u if landing is None else landing.log_u) >= inside.log_u:
                # Steps do not see an atom inside a bulk: the solution passes above it.
                table, landing = [self._up_to(inside, begin, table)], self._edge_at(inside)
                if not inside.touched(-1):
                    # Nor one in the gap beyond a thin tail.
                    self._keep_shown(edge, table[0], math.inf)
                    return "end", None
            if landing is not None:
                break
            past = self._past_turn(spot, log_u, table)
            if past is not None:
                log_u, spot, step, fading = past
                continue
            density = self._log_density(spot.zeta)
            if density < THIN and self._has_surfaced(here):
                passed = self._left_behind(edge, table, here, log_u)
                if passed is not None:
                    return passed
            before, fading = fading, self._fading(spot)
            if self._faded(log_u, here, density, fading):
                break
            if density < NOTHING and self._is_whole(here):
                fading = min(before, -1.0)
                break
            scale = here.reach()
            step = min(scale, 3.0 * step)
            if density < LOST:
                # Nothing says beforehand that a thin tail ends at an atom.
                step = min([step, *(0.5 * (u - log_u) for u in self._marginal if log_u < u < log_u + step)])
            if density > THIN:
                step = min(step, 6.0 / max(abs(fading), 1e-300))
            # In a thin tail the imaginary parts are small, and are to be known to a part in a hundred; log u must be
            # where it hardly changes with ζ, and on the scale on which the curve bends: narrow bulks end soon.
            rough = ROUGH * min(1.0, 1.0 / abs(here.first[0]), scale)
            if density < SPARSE:
                rough = min(rough, 0.01 * max(math.exp(density), here.angle()))
            reached, found, step = self._advance(log_u, here, step, rough)
            if found is None:
                thin = density + math.log(self.equation.rank) <= THIN / 2
                # Below the rounding of ζ and v, whether it fades is chance.
                if not thin or (fading >= 0.0 and density > THIN) or self._is_ahead(log_u, here):
                    raise ConvergenceError(f"the sweep lost the solution at log u = {log_u:.6g}")
                if fading >= 0.0:
                    fading = min(before, -1.0)
                break
            log_u, spot = reached, found
        self._keep(edge, landing, np.concatenate(table), fading)
        return "end" if landing is None else "edge", landing

    def _up_to(self, pole: Pole, begin: float, table: list[Array]) -> Array:
        """Rows of the table before a pole; others found from there where there are next to none after `begin`."""
        rows: Array = np.concatenate(table)
        away = pole.log_u - begin
        rows = rows[rows[:, 0].real < pole.log_u - NEARER * away]
        if len(rows) >= ENOUGH:
            return rows
        found = [rows]
        for part in BEFORE:
            log_u, start = pole.log_u - part * away, pole.leave(part * away, -1)
            spot = start and self._evaluator.follow(log_u, complex(start[0]), start[1].tolist(), BESIDE)
            if spot:
                found.append(_row(log_u, Course.at(spot)))
        rows = np.concatenate(found)
        if len(rows) < ENOUGH:
            raise ConvergenceError(f"no solutions were found before the atom at log u = {pole.log_u:.6g}")
        return rows[np.argsort(rows[:, 0].real)]

    def _keep(
        self, first: Edge | None, last: Edge | None, table: Array, fading: float, until: float = math.inf
    ) -> None:
        """Add an arc."""
        rows = np.ascontiguousarray(table.T)
        values, rates, turns = rows[1:].reshape(3, -1, rows.shape[1])
        self.arcs.append(Arc(first, last, rows[0].real.copy(), values[0], values[1:], rates, turns, fading, until))

    def _left_behind(
        self, first: Edge | None, table: list[Array], here: Course, log_u: float
    ) -> tuple[str, Edge] | None:
        """Add the arc as far as its density shows, and go on in the gap from `here`.

        None where an edge was passed that must be there, but was not found.
        """
        zeta, v = (x.real for x in columns(here))
        place = Edge(complex(zeta[0]), v.ravel().astype(complex), log_u)
        if self.equation.is_algebraic:
            last = self._passed(first, place)
            rows: Array = np.concatenate(table)
            before = rows[rows[:, 0].real < float(last.log_u)] if last is not None else rows[:0]
            if not len(before):
                return None
            self._keep(first, last, before, 0.0)
            return "gap", place
        until = self._edge_before(float(zeta[0]), v.ravel())
        self._keep_shown(first, np.concatenate(table), until)
        return "gap", place

    def _keep_shown(self, first: Edge | None, rows: Array, until: float) -> None:
        """Add an arc that fades, as far as its density shows, if anything does."""
        share = self.equation.log_share(rows[:, 1])
        shown = np.flatnonzero(share > THIN)
        if not shown.size:
            # Nothing that shows, if not between two points.
            ends = rows[[0, -1], 1], np.ascontiguousarray(rows[[0, -1], 2 : 2 + len(self.laws)].T)
            gained = float(np.diff(self.equation.mass_above(*ends))[0])
            if len(rows) < 2 or not gained > EMPTY * self.equation.rank:
                return
        # One point beyond the last that shows.
        count = max(2, min(int(shown[-1]) + 2 if shown.size else 2, len(rows)))
        u = rows[:count, 0].real
        fading = float(share[count - 1] - share[count - 2]) / float(u[-1] - u[-2])
        self._keep(first, None, rows[:count], min(fading, -1.0), max(until, float(u[-1])))

    @cached_property
    def _poles(self) -> list[Pole]:
        """The poles where arcs may end, by rising log u."""
        return poles_of(self.equation)

    @cached_property
    def _marginal(self) -> list[float]:
        """Log u of the atoms of mass zero, where arcs end."""
        return [pole.log_u for pole in self._poles if pole.mass < MARGINAL]

    @cached_property
    def _inside(self) -> list[Pole]:
        """The atoms that an arc might run past: inside a bulk, or beyond a tail that is too thin to show its end."""
        # Without densities of the laws there is neither.
        return [] if self.equation.is_algebraic else [pole for pole in self._poles if pole.mass >= MARGINAL]

    def _marched(
        self, log_u: float, spot: Spot, step: float, fading: float, table: list[Array]
    ) -> tuple[float, Spot, float, float]:
        """Log u, the spot, the step and the fading before, after plain steps that the compiled code makes at once.

        The points that are left behind are added to the table.
        """
        compiled = self.equation.compiled
        # Where a thin tail may end at an atom its steps are not plain.
        pace = (ROUGH, LOST, *PACE[2:]) if self._marginal else PACE
        found = compiled.march(log_u, complex(spot.zeta), spot.v, step, fading, pace) if compiled is not None else None
        if found is None or not len(found[0]):
            return log_u, spot, step, fading
        rows, log_u, step, fading, reached = found
        spend(3 * self.equation.stack.size * len(rows), 3 * len(self.laws))
        self._count(len(rows))
        table.append(rows)
        return log_u, Spot(*reached), step, fading

    def _advance(self, log_u: float, here: Course, step: float, rough: float) -> tuple[float, Spot | None, float]:
        """The next solution, at most `step` further, and the step that was made."""
        while step > 1e-9 * (1.0 + abs(log_u)):
            guess = [lifted(x, 1e-6) for x in here.ahead(step)]
            if guess and all(x.imag > 0.0 for x in guess):
                found = self._evaluator.follow(log_u + step, guess[0], guess[1:], rough)
                if found is not None:
                    return log_u + step, found, step
            step *= 0.4
        # Where dψ_k/dv_k = 0, ζ is no coordinate of the curve: pass that point by the sure way.
        return (*self._jump(log_u), 0.05)

    def _pole_ahead(self, spot: Spot, log_u: float) -> Edge | None:
        """The atom just ahead, if the arc ends at one: of mass zero, or with a density beside it."""
        zeta = spot.zeta
        if not (abs(1.0 - zeta) < AHEAD[0] and (spot.slope * zeta * (1.0 - zeta)).real > 0.0):
            return None
        pole = self._pole(np.array(spot.v, complex))
        if pole is None or pole.log_u <= log_u:
            return None
        if abs(pole.mass) < MARGINAL:
            return self._edge_at(pole)
        if pole.hidden:
            return self._hidden_edge(pole)
        return self._edge_at(pole) if pole.mass > 0.0 and pole.touched(-1) else None

    def _landing(self, spot: Spot, log_u: float) -> Edge | None:
        """The edge just ahead on the real axis, where Newton's method for d log u/dζ = 0 sees one."""
        zeta, slope, bend = spot.zeta, spot.slope, spot.bend
        if bend == 0.0:
            return None
        ahead = -slope / bend
        # Forward along the curve dζ = d log u/slope, within reach, and down to the axis.
        if not (abs(ahead) < AHEAD[1] * max(abs(zeta), AHEAD[2]) and (ahead * slope).real > 0.0):
            return None
        # In a thin tail imaginary parts are rounding.
        if not abs(zeta.imag + ahead.imag) < DOWN * max(zeta.imag, 0.1 * abs(ahead)):
            return None
        edge = self._critical(zeta, np.array(spot.v, complex))
        if edge is None or edge.log_u <= log_u or not abs(edge.zeta - zeta) < 3.0 * abs(ahead) + 1e-12 * abs(zeta):
            return None
        if not self._flat(edge):
            self._turn = edge
            return None
        # Seen from the edge, too, the solution must lie where the square root has it: not every critical point that
        # Newton's method finds from afar is where this curve lands.
        back = self._point(complex(edge.zeta), edge.v.real).bend * (zeta - edge.zeta) ** 2
        return edge if abs(0.5 * back / (log_u - edge.log_u) - 1.0) < SAME_ROOT else None

    def _past_turn(self, spot: Spot, log_u: float, table: list[Array]) -> tuple[float, Spot, float, float] | None:
        """Log u, the spot, the step and the fading beyond a critical point that is next to the axis, if one is ahead.

        The points on the way are added to the table.
        """
        edge = self._turn
        if edge is None or not self._on_cut(edge.v) or len(table) < 1:
            return None
        turn = self._evaluator.spot(complex(edge.zeta), edge.v.tolist())
        centre = complex(turn.log_u)
        away = centre.real - log_u
        # Seen from there the solution must lie where the square root has it.
        root = 0.5 * turn.bend * (spot.zeta - turn.zeta) ** 2 / (log_u - centre)
        if not (0.0 < -centre.imag < SHARP * away and abs(root - 1.0) < SAME_ROOT):
            return None
        before = float(table[-2][-1, 0].real) if len(table) > 1 else log_u
        rows, reached = [table.pop()], spot
        for at, start in around(turn, complex(spot.zeta), log_u, before):
            guess = [lifted(x, 1e-6) for x in start]
            found = (
                self._evaluator.follow(at, guess[0], guess[1:], PASSED) if min(x.imag for x in guess) > 0.0 else None
            )
            if found is None:
                table.append(rows[0])
                return None
            here, reached = Course.at(found), found
            rows.append(_row(at, here))
        self._count(len(rows))
        log_u = float(rows.pop()[0, 0].real)
        # Some of them come before the point at hand.
        table.append(np.concatenate(sorted(rows, key=lambda row: row[0, 0].real)))
        return log_u, reached, math.inf, 0.0

    def _jump(self, log_u: float) -> tuple[float, Spot | None]:
        """The solution a little further along the axis, found without a starting value, if at all."""
        self._jumps += 1
        if self._jumps > MOST_JUMPS:
            raise ConvergenceError(f"the sweep creeps at log u = {log_u:.6g}: its laws are too coarse there")
        for distance in (1e-4, 1e-3, 1e-2, 0.1):
            try:
                roots = locate(self.equation, np.array([log_u + distance]))
            except ConvergenceError:
                continue
            if roots.certified[0]:
                return log_u + distance, self._evaluator.spot(complex(roots.zeta[0]), roots.v[:, 0].tolist())
        return log_u, None


def _row(log_u: float, here: Course) -> Array:
    """One row of the table of an arc."""
    return np.array([[log_u, *here.values, *here.first, *here.second]])
