"""That λ_max is the first critical point: the bounds by which it is proven, and points that are not the first."""

from __future__ import annotations

import math

import pytest
from flint import acb, arb

from spectra import ConvergenceError, Network, predict
from spectra.activations import get_activation
from spectra.exact.ball_edges import _above, _Here, _largest_near, _wide, enclosed_largest
from spectra.exact.ball_equation import BallEquation, BallFactor, ball_equation
from spectra.exact.ball_field import ball_field
from spectra.exact.power_series import working_precision
from spectra.exact.precise import PreciseNetwork
from spectra.exact.slope_balls import SlopeBalls


def test_a_critical_point_that_is_not_the_first_is_no_lambda_max() -> None:
    """A Gaussian layer of slopes 1 and 1/20: two bulks, and log u has a critical point at each of their ends."""
    layer = {"activation": {"name": "leaky_relu", "negative_slope": 0.05}, "width": 40}
    net = Network(layers=[layer], input_width=400, sigma_w=1.0, sigma_b=0.0)
    precise = PreciseNetwork(net, 20)
    places = sorted(place for place, _ in precise.edges())
    assert len(places) >= 2
    with working_precision(120):
        equation = ball_equation(ball_field(net))
        inner = [
            precise._of_edge(equation, edge)
            for arc in precise._arcs
            for edge in (arc.first, arc.last)
            if edge is not None and math.exp(-edge.log_u) < 0.999 * places[-1]
        ]
        assert inner
        for w, y in inner:
            with pytest.raises(ConvergenceError):
                _largest_near(equation, w, y)
            # A guess that leads astray is no more than that.
            found = enclosed_largest(equation, (w, y))
            assert float(found.mid()) == pytest.approx(places[-1], rel=1e-12)


def test_lambda_max_of_ten_thousand_layers() -> None:
    """Where log u is concave in a narrow neighbourhood only; the engine has its own quadrature and search."""
    net = Network(depth=10_000, activation="tanh", weights="orthogonal", sigma_w="critical", q_star=1e-4)
    edge = PreciseNetwork(net, 15).largest()
    assert float(edge.mid()) == pytest.approx(predict(net).spectrum.support()[1], rel=1e-12)


@pytest.mark.parametrize("name", ["tanh", "gelu", "leaky_relu"])
def test_bounds_by_tangents_are_bounds(name: str) -> None:
    """Of the proof that nothing comes before λ_max: below a point, and an interval about it, for χ of one law."""
    with working_precision(80):
        law = SlopeBalls(get_activation(name), arb("0.7"))
        factor = BallFactor(law, arb(1), 1)
        y = arb("0.6") / law.largest
        mean = 1 + law.psi(acb(y)).real
        w, variance = mean - 1, law.spread(y, mean)
        for share in ("0.9", "0.3", "0.01"):
            other = arb(share) * y
            bound = _above(factor, law.psi(acb(other)).real, y, mean, variance)
            assert bound >= other
            assert bound < y
        here = _Here(w, (y,), (mean,), (variance,))
        equation = BallEquation((), (factor,), arb(0))
        around = w.mid() + arb(0, w * arb("0.1"))
        found = _wide(equation, w, (y,), here, around)
        assert found is not None
        (wide,) = found
        for share in ("0.92", "0.96", "1.04", "1.08"):
            other = arb(share) * y
            if around.contains(law.psi(acb(other)).real):
                assert wide.contains(other)
