"""A law as a curve: z and g = G(z) as functions of unknowns t, with equations that tie these to each other.

A law with n unknowns has n − 1 equations, so that z and one more make it a point.  Everything is analytic in t, and
derivatives are carried along, so that Newton's method needs no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .._types import Array

# Imaginary parts that are zero but for rounding, relative to the number.
FLAT = 1e-11


@dataclass(frozen=True, eq=False)
class Trace:
    """A law at m points.

    Attributes
    ----------
    z, g, w : (m,) complex, g = G(z), w = ψ(1/z) = z g − 1, without cancellation.
    dz, dg, dw : (n, m), derivatives in the unknowns, off the curve, too, where w need not be z g − 1.
    equations : (n − 1, m), zero on the curve.
    slopes : (n − 1, n, m), their derivatives.
    valid : (m,) whether all parts are on their principal sheets, on the side of the real axis where z is.  For z off
        the axis this and the equations leave one solution only.
    inner : pairs of derivatives, (k, n, m) and (n, m): what must rise where the other does, along the real axis outside
        the support.
    sizes : (n, m) of the terms of the equations, and of z: what rounding is relative to.
    w_size : (m,) the same of w.
    turn : (n, m) d log(w/g), where a formula keeps its digits at w = 0.
    g_size : (m,) of the terms g is a sum of, where they may cancel.
    """

    z: Array
    g: Array
    w: Array
    dz: Array
    dg: Array
    dw: Array
    equations: Array
    slopes: Array
    valid: Array
    inner: tuple[tuple[Array, Array], ...]
    sizes: Array
    w_size: Array
    turn: Array | None = None
    g_size: Array | None = None

    @property
    def end_size(self) -> Array:
        """(m,) Of the terms of z g."""
        within = np.abs(self.g) if self.g_size is None else self.g_size
        return self.sizes[-1] * np.abs(self.g) + np.abs(self.z) * within


def leaf(z: Array, g: Array, w: Array, slope: Array, w_size: Array | None = None, g_size: Array | None = None) -> Trace:
    """A law whose G is a formula: its unknown is z."""
    one, nothing = np.ones((1, z.size), complex), np.empty((0, z.size))
    return Trace(
        z,
        g,
        w,
        one,
        slope[None],
        (g + z * slope)[None],
        nothing,
        np.empty((0, 1, z.size)),
        np.ones(z.size, bool),
        (),
        np.abs(z)[None],
        np.abs(w) if w_size is None else w_size,
        g_size=g_size,
    )


def side_by_side(traces: Sequence[Trace]) -> list[Trace]:
    """The same, every one over the unknowns of all."""
    if len(traces) == 1:
        return list(traces)
    total = sum(trace.dz.shape[0] for trace in traces)
    found, start = [], 0
    for trace in traces:
        here = slice(start, start + trace.dz.shape[0])
        start = here.stop

        def wide(part: Array, here: slice = here) -> Array:
            padded = np.zeros((*part.shape[:-2], total, part.shape[-1]), complex)
            padded[..., here, :] = part
            return padded

        inner = tuple((wide(rows), wide(reference)) for rows, reference in trace.inner)
        turn = None if trace.turn is None else wide(trace.turn)
        parts = {name: wide(getattr(trace, name)) for name in ("dz", "dg", "dw", "slopes")}
        found.append(replace(trace, inner=inner, turn=turn, **parts))
    return found


def same_side(a: Array, size: Array, b: Array, other: Array) -> Array:
    """Whether a lies on the side of the real axis on which b is, or on the axis but for rounding.

    `size` and `other` are those of the terms a and b are sums of.  On the axis itself limits are from above.
    """
    side = np.where(b.imag < -FLAT * other, -1.0, 1.0)
    return side * a.imag >= -FLAT * size
