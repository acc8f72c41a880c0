"""What `spectra phase` says of one activation, as plain JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..activations import Activation
from ..network.criticality import CriticalPoint
from ..record import SCHEMA, finite
from .curve import CurvePoints, EdgeOfChaos, edge_of_chaos
from .grid import Phase, PhaseGrid
from .universality import Universality, universality


@dataclass(frozen=True, eq=False)
class PhaseReport:
    """The edge of chaos of one activation.

    Parameters
    ----------
    activation : φ.
    points, low, high : how many points of the curve, and between which q*.
    biases, weights : σ_b and σ_w whose critical points are asked for.
    q_star : where μ_1, μ_2 and the spread are given.
    """

    activation: Activation
    points: int = 100
    low: float = 1e-4
    high: float = 1e2
    biases: Sequence[float] = ()
    weights: Sequence[float] = ()
    q_star: float = 1.0
    notes: list[str] = field(default_factory=list)

    @cached_property
    def edge(self) -> EdgeOfChaos:
        """The curve, with its shape."""
        return edge_of_chaos(self.activation)

    @cached_property
    def curve(self) -> CurvePoints:
        """Points of it."""
        return self.edge.traced(self.points, self.low, self.high)

    @cached_property
    def universality(self) -> Universality:
        """Class, and growth per layer at `q_star`."""
        return universality(self.activation, self.q_star)

    @cached_property
    def critical(self) -> list[tuple[str, float, tuple[CriticalPoint, ...]]]:
        """(key, value, all critical points that have it) for every σ_b and σ_w asked for."""
        found = [("sigma_b", value, self.edge.at_bias(value)) for value in self.biases]
        return found + [("sigma_w", value, self.edge.at_weight(value)) for value in self.weights]

    def to_dict(self, grid: PhaseGrid | None = None) -> dict[str, Any]:
        """The JSON object of `spectra phase`; with `grid` its arrays too."""
        curve, kind = self.curve, self.universality
        keys = ("q_star", "sigma_w", "sigma_b", "slope")
        rows = zip(curve.q_star, curve.sigma_w, curve.sigma_b, curve.slope, strict=True)
        result: dict[str, Any] = {
            "schema": SCHEMA,
            "activation": self.activation.name,
            "curve": [dict(zip(keys, map(float, row), strict=True)) for row in rows],
            "shape": self.edge.shape(),
            "begins": self.edge.begins,
            "weight_turns": list(self.edge.weight_turns),
            "stability_changes": list(self.edge.stability_changes),
            "universality": class_record(kind) | {"q_star": self.q_star},
        }
        if self.critical:
            result["critical"] = [
                {key: value, "points": [_point(p) for p in points]} for key, value, points in self.critical
            ]
        if grid is not None:
            result["grid"] = _grid(grid)
        missing: list[str] = []
        result = finite(result, missing)
        return result | {"notes": [*self.none_found(), *_notes(missing)]}

    def none_found(self) -> list[str]:
        """Why a σ_b or σ_w asked for has no critical point."""
        return [
            self.edge.none_exists(value) if key == "sigma_b" else self.edge.no_weight(value)
            for key, value, points in self.critical
            if not points
        ]


def class_record(one: Universality) -> dict[str, Any]:
    """Class and growth per layer as plain numbers, None where there is none."""
    return {
        "class": one.kind,
        "reason": one.reason,
        "coefficient": one.coefficient,
        "power": one.power,
        "mu_1": one.mu_1,
        "mu_2": one.mu_2,
        "spread_orthogonal": one.spread,
        "spread_gaussian": one.spread + 1.0,
        "on_the_curve": one.point is not None,
    }


def _point(point: CriticalPoint) -> dict[str, float | None]:
    return {"q_star": point.q_star, "sigma_w": point.sigma_w, "sigma_b": point.sigma_b, "slope": point.slope}


def _grid(grid: PhaseGrid) -> dict[str, Any]:
    return {
        "sigma_w2": grid.weight_variances,
        "sigma_b2": grid.bias_variances,
        "q_star": grid.q_star,
        "chi_1": grid.chi_1,
        "xi_c": grid.xi_c,
        "xi_q": grid.xi_q,
        "phase": [[Phase(code).name.lower() for code in row] for row in grid.phase.tolist()],
        "stable": grid.stable.tolist(),
        "residual": grid.residual,
    }


def _notes(missing: list[str]) -> list[str]:
    reasons = {
        "begins": "`begins` is null: there is no curve with a q* of its own",
        "curve": "q_star is null: every variance is fixed",
        "critical": "q_star is null: every variance is fixed",
        "universality": "coefficient and power of `universality` are null: there is no power law for q* → 0",
        "grid": "numbers of `grid` are null: no stable fixed point, or a depth scale infinite or not known",
    }
    return [reasons[top] for top in dict.fromkeys(path.partition(".")[0] for path in missing) if top in reasons]
