"""A prediction as plain JSON: every number finite, what does not exist null and said so in the notes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from .digits import DOUBLE_DIGITS
from .network.architectures import architecture_of, are_products
from .network.branch_bounds import branch_bounds
from .spectrum import OUTSIDE

if TYPE_CHECKING:
    from .distribution import Distribution
    from .network.config import LayerSpec, Network
    from .network.meanfield import MeanField
    from .prediction import Prediction

SCHEMA = 1
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
# A bulk whose ends differ by more than this factor gets its points on a logarithmic scale.
WIDE = 100.0
# A law may reach beyond the range of doubles; its points, and its density there, of order 1/λ at most, cannot.
SMALLEST, LARGEST = 1e-300, 1e300


def prediction_to_dict(
    pred: Prediction, at: Sequence[float] | None = None, moments: int = 6, points: int = 400
) -> dict[str, Any]:
    """Return the JSON object of `spectra predict`.

    Parameters
    ----------
    at : where to give the density, verbatim; without it `points` points over the effective support.
    moments : K, the number of moments m_1 … m_K.
    """
    field, law, singular, checks = pred.mean_field, pred.spectrum, pred.singular_values, pred.checks
    where = np.asarray(at, float) if at is not None else density_points(law, points)
    power_sums = np.asarray(pred.moments(max(moments, 2)), float)
    low, high = singular.support()
    quantiles = dict(zip(QUANTILES, singular.icdf(QUANTILES).tolist(), strict=True))
    result = {
        "schema": SCHEMA,
        "network": resolved(pred.network, field),
        "mean_field": {
            "q": field.q,
            "chi": field.chi,
            "q_star": field.q_star,
            "chi_1": field.chi_1,
            "c_star": field.c_star,
            "chi_c_star": field.chi_c_star,
            "xi_c": field.xi_c,
            "xi_q": field.xi_q,
            "phase": field.phase,
        }
        | (_grown(field) if not all(architecture_of(run.spec).settles for run in field.runs) else {}),
        "jacobian": {
            "moments": [_above_zero(m) for m in power_sums[:moments].tolist()],
            "variance": _above_zero(pred.variance) if pred.relative_variance > 0.0 else pred.variance,
            "support": [law.support()[0], _above_zero(law.support()[1])],
            "effective_support": [law.effective_support[0], _above_zero(law.effective_support[1])],
            "bulks": [[low, _above_zero(high)] for low, high in law.bulks],
            "atoms": [[atom.location, atom.mass] for atom in law.atoms],
            "atom_at_zero": law.atom_at_zero,
        }
        | ({} if pred.outliers is None else {"outliers": [outlier.location for outlier in pred.outliers]}),
        "singular_values": {
            "min": low,
            "max": high,
            "mean": singular.moment(1),
            "median": quantiles[0.5],
            "quantiles": {str(p): s for p, s in quantiles.items()},
        }
        | ({} if are_products(pred.network.layers) else {"bounds": _bounds(field)}),
        "density": {"lambda": list(at) if at is not None else where, "pdf": law.pdf(where)},
        "checks": {
            "residual": checks.residual,
            "mass_defect": checks.mass_defect,
            "moment_defects": checks.moment_defects,
            "certified": bool(checks.certified),
        },
    }
    missing: list[str] = []
    result = finite(result, missing)
    notes = [*field.notes, *checks.notes, *pred.outlier_notes]
    if at is None and law.bulks and not where.size:
        notes.append("`density` has no points: the bulks lie beyond the range of doubles")
    if pred.digits is not None and pred.digits > DOUBLE_DIGITS:
        from .exact.record import with_digits

        notes += with_digits(result, pred.precise, at)
    if pred.certify:
        from .exact.record import certified

        result["certified"], more = certified(pred.precise, moments, at)
        notes += more
    result["checks"]["notes"] = list(dict.fromkeys(notes + _null_notes(missing, notes)))
    return result


def _grown(field: MeanField) -> dict[str, Any]:
    """E x² of the input and of the output, where it is what grows: x itself is passed on."""
    return {"second_moments": [field.input_variance, field.leaving.second]}


def _bounds(field: MeanField) -> list[float]:
    """Below and above all singular values, by the norms of the branches alone."""
    with np.errstate(over="ignore"):
        return np.exp(branch_bounds(field)).tolist()


def _above_zero(x: float) -> float | None:
    """None for what is positive, but below the range of doubles."""
    return x if x != 0.0 else None


def resolved(net: Network, field: MeanField) -> dict[str, Any]:
    """Return the configuration with numbers for "critical" and "fixed-point": read back, it predicts the same."""
    table: dict[str, Any] = {}
    layers = _resolved_layers(field)
    if len(layers) == 1:
        spec, repeat = layers[0]
        table = {"depth": repeat} | spec.to_dict()
        table.pop("repeat", None)
    table["input_variance"] = field.input_variance
    if net.input_width is not None:
        table["input_width"] = net.input_width
    if len(layers) > 1:
        table["layers"] = [spec.to_dict() | {"repeat": repeat} for spec, repeat in layers]
    return table


def _resolved_layers(field: MeanField) -> list[tuple[LayerSpec, int]]:
    """List the runs of the mean field with their numbers, those merged that differ only in q."""
    runs = [(replace(run.spec, q_star=None, repeat=1), run.repeat) for run in field.runs]
    return [(spec, sum(repeat for _, repeat in same)) for spec, same in groupby(runs, key=lambda run: run[0])]


def density_points(law: Distribution, count: int) -> np.ndarray:
    """Where the density is worth giving: `count` points strictly inside the bulks, ascending.

    Every bulk gets its share by mass, at least two where `count` allows; within a bulk the points crowd towards both
    ends as Chebyshev's do. Where a bulk spans more than two decades, half of them do so on a logarithmic scale and
    half in probability, so that neither the tail nor the mass is missed.
    """
    spans = [span for span in (_span(law, a, b) for a, b in law.bulks) if span[1] > span[0]]
    masses = np.array([span[3] for span in spans])
    if not masses.sum() > 0.0:
        return np.empty(0)
    edges = np.rint(np.cumsum(masses) / masses.sum() * max(count - 2 * len(spans), 0)).astype(int)
    counts = np.diff(edges, prepend=0) + 2
    grids = []
    for (low, high, start, mass), number in zip(spans, counts, strict=True):
        if low > 0.0 and high > WIDE * low:
            ends = math.log(low), math.log(high)
            tail = np.exp(ends[0] + (ends[1] - ends[0]) * _crowded(number - number // 2))
            bulk = np.asarray(law.icdf(start + mass * _crowded(number // 2)), float)
            grids.append(np.clip(np.sort(np.concatenate([tail, bulk])), low, high))
        else:
            grids.append(low + (high - low) * _crowded(number))
    return np.concatenate(grids)[:count]


def _crowded(number: int) -> np.ndarray:
    """Chebyshev points of (0, 1), ascending."""
    return 0.5 - 0.5 * np.cos(math.pi * (np.arange(number) + 0.5) / max(number, 1))


def _span(law: Distribution, low: float, high: float) -> tuple[float, float, float, float]:
    """Part of a bulk that doubles reach and that holds all but `OUTSIDE` at each end, and its mass.

    Returns
    -------
    (start, end, distribution function at the start, mass in between).
    """
    atoms = {atom.location: atom.mass for atom in law.atoms}
    high = min(high, LARGEST)
    before = float(law.cdf(SMALLEST if low == 0.0 else low))
    mass = float(law.cdf(high)) - atoms.get(high, 0.0) - before
    if mass <= 4 * OUTSIDE:
        return low, high, before, max(mass, 0.0)
    before, mass = before + OUTSIDE, mass - 2 * OUTSIDE
    start, end = (float(x) for x in law.icdf(np.array([before, before + mass])))
    return max(low, start, SMALLEST if low >= 0.0 else low), min(high, end), before, mass


def finite(value: Any, missing: list[str], path: str = "") -> Any:
    """Copy in JSON's own types; what is not finite, or None, becomes null and its path joins `missing`."""
    if isinstance(value, dict):
        return {key: finite(item, missing, f"{path}.{key}" if path else key) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        # Of a million layers all numbers are there as a rule: asked of each alone that would take a second.
        if value.dtype == float and np.isfinite(value).all():
            return value.tolist()
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [finite(item, missing, path) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        missing.append(path)
        return None
    return value


def _null_notes(missing: list[str], others: Sequence[str]) -> list[str]:
    """One note per path with nulls that no other note speaks of."""
    return [
        f"`{path}` is null{_times(missing.count(path))}: infinite, not defined here, or beyond the range of doubles."
        for path in dict.fromkeys(missing)
        if not any(path.rpartition(".")[2] in note for note in others)
    ]


def _times(count: int) -> str:
    return f" at {count} places" if count > 1 else ""


def to_json(value: Any, indent: str = "") -> str:
    """JSON text: every double in the shortest form that gives it back exactly; NaN and infinity are refused.

    Lists stay on one line each, so that a file of 400 points can be read.
    """
    inner = indent + "  "
    if isinstance(value, dict) and value:
        rows = [f"{inner}{json.dumps(key)}: {to_json(item, inner)}" for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        rows = [inner + to_json(item, inner) for item in value]
    else:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + "\n" + ",\n".join(rows) + f"\n{indent}{closing}"
