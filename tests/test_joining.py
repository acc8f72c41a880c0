"""Which steps of a sweep one series goes by: Hermite's polynomials against their error, and the pieces made of them."""

from __future__ import annotations

import numpy as np
import pytest
from networks import equation_of, layer

from spectra import charting, joining
from spectra._types import Array
from spectra.charting import _first_breaks
from spectra.joining import JOINED, joined, missed
from spectra.native import NATIVE
from spectra.network.meanfield import LayerState
from spectra.pieces import Span
from spectra.survey import survey


def table_of(x: Array, y: Array, slope: Array, turn: Array) -> Array:
    return np.ascontiguousarray([x, y, slope, turn, np.ones(x.size)])


def test_what_is_missed_is_the_error_of_hermites_polynomial() -> None:
    """Of x⁶ it is x³ (1 − x)³ between 0 and 1, of a polynomial of degree five nothing."""
    x = np.array([0.0, 0.2, 0.5, 1.0])
    assert missed(table_of(x, x**6, 6 * x**5, 30 * x**4), 0, 3) == pytest.approx(1 / 64, rel=1e-12)
    assert missed(table_of(x, x**6, 6 * x**5, 30 * x**4)[:, [0, 1, 3]], 0, 2) == pytest.approx(0.16**3, rel=1e-12)
    assert missed(table_of(x, x**5, 5 * x**4, 20 * x**3), 0, 3) < 1e-15
    weighted = table_of(x, x**6, 6 * x**5, 30 * x**4)
    weighted[4] = 0.1
    assert missed(weighted, 0, 3) == pytest.approx(0.1 / 64, rel=1e-12)
    weighted[1, 2] = np.nan
    assert not missed(weighted, 0, 3) <= JOINED


@pytest.mark.skipif(NATIVE is None, reason="installed without a compiler")
@pytest.mark.parametrize("seed", range(6))
def test_the_same_steps_are_joined_without_a_compiler(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.uniform(0.05, 0.9, 30))
    # A root at the one end, a pole beside the other, noise in between.
    y = np.log(x) + 0.3 / (x[-1] + 0.4 - x) + 1e-4 * rng.normal(size=x.size)
    slope, turn = 1 / x + 0.3 / (x[-1] + 0.4 - x) ** 2, -1 / x**2 + 0.6 / (x[-1] + 0.4 - x) ** 3
    table = table_of(x, y, slope, turn)
    for begin, end, last, stop in ((0, 1, 28, 29), (1, 2, 28, 28), (0, 3, 27, 27), (1, 1, 28, 29)):
        monkeypatch.setattr(joining, "NATIVE", NATIVE)
        one = joined(table, begin, end, last, stop)
        monkeypatch.setattr(joining, "NATIVE", None)
        assert one == joined(table, begin, end, last, stop)
        assert one[0] >= x[end]
        assert one[-1] <= x[last]
        assert np.all(np.diff(one) > 0.0)


CASES = [
    [layer("tanh", 1.0, "orthogonal", 10)],
    [layer("leaky_relu", 1.0, "orthogonal", 10)],
    [layer("elu", 1.0, "gaussian", 10)],
    [layer("smoothed_relu", 1.0, "orthogonal", 2)],
]


@pytest.mark.parametrize("layers", CASES)
def test_pieces_follow_on_each_other_from_end_to_end(layers: list[LayerState]) -> None:
    equation = equation_of(layers)
    for arc in survey(equation).arcs:
        span = Span(equation, arc)
        breaks = _first_breaks(arc, span.low, span.high)
        assert len(breaks) >= 2
        assert breaks[0, 0] == span.low
        assert breaks[-1, 1] == span.high
        assert np.array_equal(breaks[1:, 0], breaks[:-1, 1])
        assert np.all(breaks[:, 1] > breaks[:, 0])


def test_one_round_is_enough_where_a_table_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a rule; and by no more pieces than the table has steps."""
    rounds, arcs = 0, 0
    solve_nodes = charting.solve_nodes

    def counted(*arguments: object, **more: object) -> object:
        nonlocal rounds
        rounds += 1
        return solve_nodes(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(charting, "solve_nodes", counted)
    for name in ("tanh", "erf", "elu", "sin"):
        for depth in (3, 10, 30):
            equation = equation_of([layer(name, 1.0, "gaussian", depth)])
            for arc in survey(equation).arcs:
                made = charting.chart(equation, arc)
                arcs += 1
                assert made.breaks.size <= arc.log_u.size
    assert rounds <= 1.5 * arcs
