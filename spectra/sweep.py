"""One sweep along the real axis from λ = ∞ to λ = 0: gaps, edges, atoms and bulks of the law, in order.

In a gap ζ and all v_k are real and increase with u.  A bulk begins where d log u/dζ = 0; there the solution leaves for
the upper half plane and is followed, step by step, until it comes down at the next such point.  Passing ζ = 1 in a gap
is an atom.  The sweep gives the shape of the law and starting values; precision is the business of `spectra.chart`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ._types import Array
from .bulk import BulkWalker
from .errors import ConvergenceError
from .pole import MARGINAL
from .walker import Edge, Survey


class Sweep(BulkWalker):
    """One sweep; `run` returns the `Survey`."""

    def run(self) -> Survey:
        """Sweep from λ = ∞ to λ = 0."""
        how, zeta, v, edge = self._gap(*self._first_point(), None)
        while how != "end":
            if how == "edge":
                assert edge is not None
                left = self._leave(edge)
                if left is None:
                    break
                begin, v_begin, log_u = left
            else:
                begin, v_begin, log_u = self._rise(zeta, v)
                edge = None
            how, landing = self._bulk(edge, begin, v_begin, log_u)
            if how == "end":
                landing = self._atom_beyond()
                if landing is None:
                    break
            assert landing is not None
            if how == "gap":
                how, zeta, v, edge = self._after_tail(landing)
                continue
            if landing.at_pole:
                how, zeta, v, edge = self._after_pole(landing)
                continue
            point = self._point(complex(landing.zeta.real), landing.v.real)
            if (point.bend * landing.zeta.real**2).real < 0.0:
                # A fading tail has met the next bulk.
                how, edge = "edge", landing
                continue
            if self._on_cut(landing.v):
                begin, v_begin, log_u = self._descend(landing)
                how, next_edge = self._bulk(landing, begin, v_begin, log_u)
                if how == "end":
                    next_edge = self._atom_beyond()
                    if next_edge is None:
                        break
                if how == "gap":
                    assert next_edge is not None
                    how, zeta, v, edge = self._after_tail(next_edge)
                    continue
                if next_edge is not None and next_edge.at_pole:
                    how, zeta, v, edge = self._after_pole(next_edge)
                    continue
                how, edge = "edge", next_edge
                continue
            how, zeta, v, edge = self._gap(landing.zeta.real, landing.v.real, landing)
        return Survey(tuple(self.arcs), tuple(self.atoms), self.steps)

    def _first_point(self) -> tuple[float, Array]:
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
                if (point.slope * zeta).real > 0.5:
                    return zeta, found.real
            zeta *= 0.25
        raise ConvergenceError("no gap was found at λ → ∞: the law of φ'² seems unbounded")

    def _after_tail(self, place: Edge) -> tuple[str, float, Array, Edge | None]:
        """Along the gap that a tail has run into, from a real point of it."""
        known = len(self.atoms)
        found = self._gap(place.zeta.real, place.v.real, None)
        last = self.arcs[-1] if self.arcs else None
        ends = found[0] != "end" or len(self.atoms) > known
        if last is not None and last.last is None and ends and math.isinf(last.until):
            # Where the tail ends was not found; here it has.
            self.arcs[-1] = replace(last, until=max(float(place.log_u), float(last.log_u[-1])))
        return found

    def _atom_beyond(self) -> Edge | None:
        """The next atom beyond an arc that has faded to nothing, if there is one."""
        faded = self.arcs[-1] if self.arcs else None
        here = float(faded.log_u[-1]) if faded is not None else -math.inf
        pole = next((pole for pole in self._inside if pole.log_u > here), None)
        if pole is None:
            return None
        if faded is not None and faded.last is None:
            # However thin, its density goes on as far as those of the laws do.
            end = pole.log_u if pole.touched(-1) else here
            self.arcs[-1] = replace(faded, until=min(faded.until, end))
        return self._edge_at(pole)

    def _after_pole(self, landing: Edge) -> tuple[str, float, Array, Edge | None]:
        """Beyond an atom at the end of an arc: a gap if a real solution goes on from there, else the next arc."""
        pole = self._pole(landing.v.real)
        if pole is not None and pole.mass >= MARGINAL:
            self.atoms.append((pole.log_u, pole.mass))
        if pole is not None:
            zeta = math.exp(1e-3)
            found = self._project(zeta, pole.beside(zeta))
            if found is not None and not self._on_cut(found):
                slope = self._point(complex(zeta), found.real).slope.real
                if slope > 0.0:
                    return self._gap(zeta, found.real, landing)
        return "edge", 1.0, landing.v.real, landing
