"""Dilations, reflections and shifts of a law: a change of the coordinate, and of nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .._types import Array
from ..exact.chain import cumulants_from_moments, moments_from_cumulants
from ..law import Law
from .affine_spectrum import AffineSpectrum
from .assembly import moments_in_doubles
from .law import LineLaw
from .numbers import Number, exactly
from .trace import Trace

if TYPE_CHECKING:
    from ..exact.power_series import Ring


@dataclass(frozen=True)
class Affine(LineLaw):
    """The law of sX + b: G(z) = G_X((z − b)/s)/s.

    Parameters
    ----------
    law : that of X.
    scale : s ≠ 0.
    shift : b.
    """

    law: Law
    scale: Number = 1
    shift: Number = 0

    @property
    def mean(self) -> float:
        """As of X, s m_1 + b."""
        return float(self.scale) * self.law.mean + float(self.shift)

    @property
    def unknowns(self) -> int:
        """Those of X."""
        return self.law.unknowns

    def trace(self, t: Array) -> Trace:
        """At z = s z_X + b, g = g_X/s; of −X by reflection, so that limits from above stay what they are."""
        s, b = float(self.scale), float(self.shift)
        if s < 0.0:
            # Adding nothing turns −0 into 0: on the axis the limit is from above on both sides of the reflection.
            trace = _reflected(self.law.trace(t.conj() + 0.0))
            s = -s
        else:
            trace = self.law.trace(t)
        sizes = np.concatenate([trace.sizes[:-1], [s * trace.sizes[-1] + abs(b)]])
        extra = (b / s) * trace.g
        w, w_size = trace.w + extra, trace.w_size + np.abs(extra)
        return replace(
            trace,
            sizes=sizes,
            w=w,
            dw=trace.dw + (b / s) * trace.dg,
            w_size=w_size,
            z=s * trace.z + b,
            g=trace.g / s,
            dz=s * trace.dz,
            dg=trace.dg / s,
            turn=None,
            g_size=None if trace.g_size is None else trace.g_size / s,
        )

    def start(self, z: Array) -> Array:
        """Those of X at (z − b)/s."""
        s, b = float(self.scale), float(self.shift)
        inner = (z - b) / s
        return self.law.start(inner.conj()).conj() if s < 0.0 else self.law.start(inner)

    @property
    def hull(self) -> tuple[float, float]:
        """s·hull + b."""
        ends = sorted(float(self.scale) * x + float(self.shift) for x in self.law.hull)
        return ends[0], ends[1]

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """Those of X, moved."""
        return tuple((float(self.scale) * a + float(self.shift), p) for a, p in self.law.marks)

    def spectrum(self) -> AffineSpectrum:
        """That of X, moved."""
        return AffineSpectrum(
            self.law.spectrum(), float(self.scale), float(self.shift), partial(moments_in_doubles, self)
        )

    @property
    def residual(self) -> float:
        """That of X."""
        return self.law.residual

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of X."""
        return self.law.notes

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """Through free cumulants: κ_1 → s κ_1 + b, κ_k → s^k κ_k."""
        scale, shift = ring.number(exactly(self.scale)), ring.number(exactly(self.shift))
        found, power = [], ring.number(1)
        for kappa in cumulants_from_moments(ring, self.law.moment_list(ring, order)):
            power = power * scale
            found.append(kappa * power)
        return moments_from_cumulants(ring, [found[0] + shift, *found[1:]])

    @property
    def is_rational(self) -> bool:
        """Whether X is."""
        return self.law.is_rational


def _reflected(trace: Trace) -> Trace:
    """That of −X, at the conjugates of the unknowns: z → −z̄, g → −ḡ."""
    return replace(
        trace,
        z=-trace.z.conj(),
        g=-trace.g.conj(),
        w=trace.w.conj(),
        dz=-trace.dz.conj(),
        dg=-trace.dg.conj(),
        dw=trace.dw.conj(),
        equations=trace.equations.conj(),
        slopes=trace.slopes.conj(),
        inner=tuple((rows.conj(), reference.conj()) for rows, reference in trace.inner),
    )
