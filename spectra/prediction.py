"""`predict`: network → mean field → layer laws → master equation → spectrum, with its own checks."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ._types import Array
from .assembly import LEVEL_BESIDE, VALLEY, Assembly, point_mass, spectrum_of
from .digits import MOST_DIGITS
from .errors import ConfigError, ConvergenceError
from .line.numbers import exactly
from .master import MasterEquation
from .network.architectures import architecture_of, are_free, refuse_without_law
from .network.config import Network
from .network.jacobian import ends_at_atom, jacobian_equation
from .network.meanfield import MeanField, mean_field
from .network.reach import Reach, reach_of
from .series import relative_variance
from .solve import CERTIFIED
from .spectrum import SingularValueLaw, Spectrum

if TYPE_CHECKING:
    from .exact.precise import PreciseNetwork
    from .outliers import Outlier

# Mass and moments integrated from the density must agree with 1 and with the exact series to this.
MASS_TOLERANCE = 1e-10
MOMENT_TOLERANCE = 1e-9
# Variance, relative to the square of the mean, of laws whose density doubles may be too coarse for.
NARROW = 1e-12
# Moments of D² without which there is no prediction: mean and variance.
LEAST_ORDER = 2
# Equal layers of which exact products are made, at most.
MOST_FACTORS = 256
# As many are shown where no more are asked for.
SHOWN = 6
# A mass that is off by more than this is that of no law: something was missed, or counted twice.
MASS_WRONG = 1e-2


@dataclass(frozen=True)
class Checks:
    """What the prediction found when it checked itself.

    residual : largest relative residual of the master equation over all nodes of the density.
    mass_defect : total mass − 1.
    moment_defects : ∫ λ^k dρ / m_k − 1, density against exact series, k = 1 … 4.
    certified : every node passed the root certificate, and mass and moments agree.
    notes : what a reader should know.
    """

    residual: float
    mass_defect: float
    moment_defects: tuple[float, ...]
    certified: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Spectrum of the Jacobian of one network, with the mean field it stands on.

    Parameters
    ----------
    network : what was predicted.
    mean_field : variances q_l, slopes χ_l, fixed point, phase and depth scales.
    spectrum : law of the eigenvalues λ of JJᵀ; λ is a squared ratio of lengths, without units.
    singular_values : law of s = √λ.
    relative_variance : m_2/m_1² − 1.
    checks : residual, mass and moment defects, certificate.
    digits : how many `precise`, and strings in `to_dict`, have; None for doubles.
    certify : whether `to_dict` adds proven enclosures.
    """

    network: Network
    mean_field: MeanField
    spectrum: Spectrum
    singular_values: SingularValueLaw
    relative_variance: float
    checks: Checks
    digits: int | None = None
    certify: bool = False

    @cached_property
    def precise(self) -> PreciseNetwork:
        """q*, moments, λ_max and density to `digits` digits, as balls (`flint.arb`); 30 where none were asked for."""
        from .exact.precise import PreciseNetwork

        return PreciseNetwork(self.network, self.digits or 30)

    @property
    def outliers(self) -> tuple[Outlier, ...] | None:
        """Eigenvalues of JJᵀ above the law, one each of every network, the largest first; found when first asked for.

        None where they are not looked for, as in networks of dense layers, or of blocks that read x where no mean adds
        up; see `spectra.outliers`.
        """
        return self._above[0]

    @property
    def outlier_notes(self) -> tuple[str, ...]:
        """What is to be said of them."""
        return self._above[1]

    @cached_property
    def _above(self) -> tuple[tuple[Outlier, ...] | None, tuple[str, ...]]:
        if are_free(self.network.layers):
            return None, ()
        from .outliers import network_outliers

        return network_outliers(self.mean_field, self.spectrum.support()[1])

    @property
    def variance(self) -> float:
        """m_2 − m_1², with the digits that the difference of the moments loses; inf beyond the range of doubles."""
        with np.errstate(over="ignore"):
            return float(np.exp(2.0 * self.spectrum.log_mean) * self.relative_variance)

    def moments(self, order: int) -> np.ndarray:
        """m_k = (1/N_L) E tr (JJᵀ)^k, k = 1 … order, (order,), by the exact series; inf beyond the range of doubles.

        NaN where slopes that grow without bound put them out of reach; then a note says so.

        Raises
        ------
        ValueError : `order` is not a positive integer.
        """
        if isinstance(order, bool) or not isinstance(order, (int, np.integer)) or order < 1:
            raise ValueError(f"`moments({order!r})`: `order` must be a positive integer.")
        k = np.arange(1, order + 1)
        with np.errstate(over="ignore"):
            return np.exp(k * self.spectrum.log_mean + self.spectrum.log_scaled_moments(order))

    def to_dict(self, at: Sequence[float] | None = None, *, moments: int = 6, points: int = 400) -> dict[str, Any]:
        """The JSON object of `spectra predict`: plain dicts, lists and numbers; None where there is no finite double.

        Parameters
        ----------
        at : λ at which to give the density; without it `points` of them over the effective support.
        moments : how many m_k.
        """
        from .record import prediction_to_dict

        return prediction_to_dict(self, at, moments, points)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Density of the singular values as a matplotlib figure; written to `path` (.png, .pdf, .svg) when given.

        Raises
        ------
        ValueError : another ending.
        OSError : the file cannot be written; what was there stays.
        """
        from .plot import figure_bytes, prediction_figure

        figure = prediction_figure(self)
        if path is not None:
            from .files import write_whole

            suffix = os.path.splitext(os.fspath(path))[1].lower().lstrip(".") or "png"
            write_whole({path: figure_bytes(figure, suffix)})
        return figure


def predict(net: Network, *, dps: int | None = None, certify: bool = False) -> Prediction:
    """Spectrum of JJᵀ, J = D_L W_L ⋯ D_1 W_1, for wide networks like `net`.

    Parameters
    ----------
    net : the network.
    dps : digits of what `Prediction.precise` computes, and of the strings in `to_dict` where there are more than 17.
    certify : whether `to_dict` adds enclosures proven in ball arithmetic, (midpoint, radius), narrow to `dps` digits;
        30 where none were asked for.

    Returns
    -------
    Prediction: frozen, nothing sampled.  `checks.certified` says whether every root passed its certificate where the
    density in log λ is above 1e-9, and mass and moments close.

    Raises
    ------
    ConfigError : the network has no critical point or fixed point where one was asked for.
    ConvergenceError : the law could not be computed to its accuracy.

    Accuracy
    --------
    Moments, edges and interior density 1e-10 relative (benchmarks/accuracy.py), reported in `checks`; in a thin tail
    1e-16 over the density in log λ where that is more, down to 1e-9, below which nothing is certified.

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018; the solution method is this project's.
    """
    # Trial points leave the range of doubles now and then; whatever is kept is verified.
    if dps is not None and (isinstance(dps, bool) or not isinstance(dps, int) or not 1 <= dps <= MOST_DIGITS):
        raise ValueError(f"`predict(dps={dps!r})`: `dps` must be a whole number from 1 to {MOST_DIGITS}.")
    with np.errstate(all="ignore"):
        return replace(_predict(net), digits=dps, certify=certify)


def _built(field: MeanField, equation: MasterEquation, spread: float, level: int) -> Assembly:
    """The law of the equation: by the engine, or where that fails by its curve, or as a point.

    Raises
    ------
    ConvergenceError : by none of these.
    """
    built: Assembly | None = None
    failed: ConvergenceError | None = None
    try:
        built = spectrum_of(equation, partial(jacobian_equation, field, first=level), level)
    except ConvergenceError as error:
        failed = error
    if built is not None and not built.uncertified:
        return built
    from .line.equation import by_atoms, is_of_atoms, mended

    try:
        if is_of_atoms(equation):
            return by_atoms(equation)
        if built is not None and VALLEY in built.notes:
            return mended(built)
    except ConvergenceError:
        # What the engine has said of it stands.
        pass
    if built is not None:
        return built
    assert failed is not None
    if not 0.0 < spread < NARROW:
        raise failed
    width = f"the law is only {math.sqrt(spread):.1e} wide, relative to its place, and shown as a point"
    return point_mass(equation, f"{width} ({failed})")


def _places(field: MeanField) -> tuple[float, ...]:
    """The λ of directions that no layer with φ' of 0 and 1 alone touches: Π σ_w², of σ_w that are given as numbers."""
    place = Fraction(1)
    for run in field.runs:
        spec = run.spec
        if not architecture_of(spec).is_product:
            return ()
        plain = spec.weights == "orthogonal" and spec.activation.is_projection and run.fan_in == run.fan_out
        if not plain or not isinstance(spec.sigma_w, (int, float)) or run.repeat > MOST_FACTORS:
            return ()
        place *= exactly(float(spec.sigma_w)) ** (2 * run.repeat)
    return (float(place),) if 1e-300 < place < 1e300 else ()


def _within(reach: Reach, log_scaled_moments: Callable[[int], Array], order: int) -> Array:
    """Logarithms of m_k/m_1^k; NaN where the slopes behind them are out of reach."""
    return np.where(np.arange(1, order + 1) <= reach.order, log_scaled_moments(order), np.nan)


def _predict(net: Network) -> Prediction:
    if not isinstance(net, Network):
        raise ConfigError(f"`predict({net!r:.40})`: `net` must be a `spectra.Network`, not {type(net).__name__}.")
    field = mean_field(net)
    refuse_without_law(net.layers)
    said = tuple(dict.fromkeys(note for spec in net.layers for note in architecture_of(spec).notes(spec)))
    if not are_free(net.layers):
        return _of_blocks(net, field, said)
    reach = reach_of(field)
    if reach is not None and reach.order < LEAST_ORDER:
        raise ConvergenceError(f"{reach.reason}; `spectra moments` has the moments")
    level = LEVEL_BESIDE if ends_at_atom(field) else 0
    equation = jacobian_equation(field, level=level, first=level)
    spread = relative_variance(equation)
    built = _built(field, equation, spread, level)
    law = replace(built.spectrum, places=_places(field))
    checks = _checked(law, built.residual, built.uncertified, (*said, *built.notes))
    if reach is not None:
        law = replace(law, log_scaled_moments=partial(_within, reach, law.log_scaled_moments))
        known = f"`moments`: {reach.reason}: m_k from k = {reach.order + 1} on are null; `spectra moments` has them"
        checks = replace(checks, notes=(known, *checks.notes)) if reach.order < SHOWN else checks
    return Prediction(net, field, law, SingularValueLaw(law), spread, checks)


def _of_blocks(net: Network, field: MeanField, said: tuple[str, ...]) -> Prediction:
    """A network whose layers let x pass beside their weights."""
    from .correlated.network import TOLERANCE, network_law

    found, notes = network_law(field)
    law = found.spectrum
    checks = _checked(law, max(found.residual, found.error), found.uncertified, (*said, *notes), TOLERANCE)
    spread = float(np.expm1(law.log_scaled_moments(2)[1]))
    return Prediction(net, field, law, SingularValueLaw(law), spread, checks)


def _checked(
    law: Spectrum, residual: float, uncertified: int, notes: tuple[str, ...], tolerance: float = CERTIFIED
) -> Checks:
    """Mass and moments of the density, and the verdict."""
    k = np.arange(1.0, 5.0)
    difference = law.log_moments_by_quadrature(k) - k * law.log_mean - law.log_scaled_moments(k.size)
    defects = np.where(np.isfinite(difference), np.expm1(difference), np.inf).tolist()
    mass_defect = law.total_mass - 1.0
    if math.isnan(mass_defect):
        raise ConvergenceError("the density was not found at some points, as beside a narrow peak or a singular end")
    if not abs(mass_defect) < MASS_WRONG:
        raise ConvergenceError(
            f"the density came out with a mass of {law.total_mass:.6g} instead of 1: part of the spectrum was missed, "
            "or counted twice"
        )
    sound = abs(mass_defect) < MASS_TOLERANCE and all(abs(d) < MOMENT_TOLERANCE for d in defects)
    certified = uncertified == 0 and sound and residual < tolerance
    if not certified:
        worst = max(map(abs, defects))
        reason = (
            f"mass off by {mass_defect:.1e}, moments by up to {worst:.1e}, residual {residual:.1e}, "
            f"{uncertified} points unproven"
        )
        notes = (f"not certified: {reason}", *notes)
    return Checks(residual, mass_defect, tuple(defects), certified, notes)
