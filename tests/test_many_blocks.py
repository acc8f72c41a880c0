"""Residual networks of many blocks: audits and tuning without a spectrum, short steps, words for small parts."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from command_line import answer
from scipy.special import ndtr

import spectra
from spectra.advice import Target, audit, tune
from spectra.advice import full_law as affordable
from spectra.correlated import BlockEquation, blocks_of
from spectra.correlated.grid import Grid
from spectra.correlated.law import needs_nodes
from spectra.correlated.network import first_two_moments, layers_of
from spectra.errors import ConvergenceError, UnboundedError
from spectra.network.meanfield import mean_field

LINEAR: dict[str, Any] = {"kind": "residual", "activation": "identity", "sigma_w": 1.0, "input_variance": 1.0}
RELU = LINEAR | {"activation": "relu"}


@pytest.fixture
def solved(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if linear blocks, of which there are closed forms, took an equation."""

    def count(field: Any) -> int:
        return sum(run.repeat for run in field.runs)

    monkeypatch.setattr(affordable, "matrices_to_solve", count)


def spread(depth: int, t: float) -> float:
    """m_2/m_1² − 1 of linear Gaussian blocks, t = α²σ_w²: L (2t + t²)/(1 + t)² (each adds that of one)."""
    return depth * (2.0 * t + t * t) / (1.0 + t) ** 2


@pytest.mark.parametrize("width", [0.9, 0.3, 0.05, 0.01, 1e-4, 1e-8])
@pytest.mark.parametrize("even", [False, True])
def test_conditional_expectations_across_a_kink(width: float, even: bool) -> None:
    """E[max(z, 0) | z′] = c z′ Φ(c z′/w) + w φ(c z′/w), c the correlation, w² = 1 − c²."""
    correlation = math.sqrt((1.0 - width) * (1.0 + width))
    # So far in that what lies beyond the grid, at 7.2, is below rounding.
    end = min(5.0, (7.2 - 7.4 * width) / correlation)
    given = np.concatenate([np.linspace(-end, end, 23), width * np.array([-0.5, -0.3, 0.4, 0.6])])
    # The width there is, of a correlation that is rounded.
    exact = math.sqrt(1.0 - correlation**2)
    mean = correlation * given
    density = np.exp(-0.5 * (mean / exact) ** 2) / math.sqrt(2.0 * math.pi)
    expected = mean * ndtr(mean / exact) + exact * density
    # Panels beside the kink as short as the step, or much longer.
    for scale in (width, 0.9):
        grid = Grid.between(np.array([0.0]), scale, 1.8, even=even)
        found = grid.expectation(given, correlation) @ np.maximum(grid.nodes, 0.0)
        np.testing.assert_allclose(found, expected, rtol=0.0, atol=2e-12)


def test_conditional_laws_have_their_second_moment() -> None:
    """E[z² | z′] = c² z′² + w², far inside of the grid."""
    for width in (0.5, 0.02, 1e-3):
        correlation = math.sqrt(1.0 - width**2)
        grid = Grid.between(np.array([0.0, 0.7]), width, 1.8)
        given = np.linspace(-2.0, 2.0, 9)
        found = grid.expectation(given, correlation) @ grid.nodes**2
        # Laws end at 7.5 widths: w² ∫ z² beyond is 4e-12 w².
        np.testing.assert_allclose(found, correlation**2 * given**2 + width**2, rtol=0.0, atol=5e-12 * width**2 + 1e-14)


def test_m_2_beyond_the_range_of_numbers_is_refused() -> None:
    # m_1 = 101^80 = 1e160, and m_2 is more than its square.
    with pytest.raises(UnboundedError, match="`alpha`: m_2"):
        first_two_moments(mean_field(spectra.Network(**LINEAR, depth=80, alpha=10.0)))


@pytest.mark.usefixtures("solved")
def test_audit_of_many_blocks_takes_two_moments() -> None:
    found = audit(spectra.Network(**LINEAR, depth=64, alpha=0.05), Target("variance", 0.25), advise=False)
    assert found.prediction is None
    assert found.numbers()["relative_variance"] == pytest.approx(spread(64, 0.0025), rel=1e-9)
    assert found.achieved == pytest.approx(spread(64, 0.0025), rel=1e-9)
    assert not found.ok
    assert found.verdict == "fair"
    assert f"the variance of JJᵀ over m_1² is {spread(64, 0.0025):.4g}" in found.reason
    assert any("no spectrum: not computed" in note and "64 weight matrices" in note for note in found.notes)
    # √(m_2/m_1), m_1 = (1 + t)^64.
    largest = math.sqrt(1.0025**64 * (1.0 + spread(64, 0.0025)))
    assert any(f"some singular value is {largest:.4g} or more" in note and "left out" in note for note in found.notes)


@pytest.mark.parametrize(("alpha", "verdict"), [(0.05, "good"), (0.09, "fair")])
@pytest.mark.usefixtures("solved")
def test_what_two_moments_prove(alpha: float, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chebyshev's inequality proves less than the spectrum has: within a factor of 2, of both α."""
    net = spectra.Network(**LINEAR, depth=2, alpha=alpha)
    assert audit(net, advise=False).verdict == "good"
    monkeypatch.setattr(affordable, "MOST", 1)
    found = audit(net, advise=False)
    assert found.prediction is None
    assert found.verdict == verdict
    # Of m_1 = (1 + t)², m_2 − m_1² ≤ 0.02 (m_1 − 1/4)².
    t = alpha**2
    assert ((1 + t) ** 4 * spread(2, t) <= 0.02 * ((1 + t) ** 2 - 0.25) ** 2) == (verdict == "good")


@pytest.mark.usefixtures("solved")
def test_a_target_that_takes_a_spectrum_gets_one_and_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(affordable, "MOST", 1)
    found = audit(spectra.Network(**LINEAR, depth=2, alpha=0.3), Target("s_max", 1.1))
    assert found.prediction is not None
    assert found.achieved == pytest.approx(Target("s_max", 1.1).read(found.prediction))
    assert found.tuned is None
    assert any("no advice: every α" in note for note in found.notes)


@pytest.mark.usefixtures("solved")
def test_tuning_many_blocks_shows_no_spectrum(net, capsys) -> None:
    text = 'kind = "residual"\ndepth = 64\nactivation = "identity"\nsigma_w = 1.0\ninput_variance = 1.0\n'
    record = answer(capsys, "tune", net(text), "--target-variance", "0.25")
    assert record["prediction"] is None
    # L (2t + t²)/(1 + t)² = ¼, 1 − 1/(1 + t)² = 1/256.
    assert record["alpha"] == pytest.approx(math.sqrt((1.0 - 1.0 / 256.0) ** -0.5 - 1.0), rel=1e-7)
    assert any("no spectrum of the tuned network: not computed" in note for note in record["notes"])


def test_tuning_few_blocks_shows_one() -> None:
    assert tune(LINEAR | {"depth": 2}, Target("variance", 0.25), advise=False).prediction is not None


@pytest.mark.parametrize("order", ["pre", "post"])
def test_a_law_too_narrow_is_refused_by_name(order: str) -> None:
    with pytest.raises(ConvergenceError, match=r"`alpha`: all branches together add .*`skip`"):
        spectra.predict(spectra.Network(**RELU, depth=2, alpha=0.5, skip=1e30, order=order))


def test_other_failures_keep_their_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise ConvergenceError("lost")

    monkeypatch.setattr("spectra.correlated.network.block_law", failing)
    with pytest.raises(ConvergenceError, match=r"^lost$"):
        spectra.predict(spectra.Network(**RELU, depth=2, alpha=0.5))


def test_blocks_after_the_sum_whose_digits_are_lost_are_refused_at_once() -> None:
    keys = RELU | {"order": "sum", "branch_layers": 2, "alpha": 0.5, "sigma_w": math.sqrt(2.0)}
    with pytest.raises(ConvergenceError, match='`depth`: 40 blocks of `order = "sum"` are too many'):
        spectra.predict(spectra.Network(**keys, depth=40))


def test_paths_that_are_all_kept_need_no_nodes() -> None:
    """Of ReLU after the sum more nodes change nothing; of two slopes off 0 they do, and are asked for."""
    u = np.array([0.3, 2.0 - 0.5j])
    leaky = {"name": "leaky_relu", "negative_slope": 0.3}
    for activation, needed in (("relu", False), (leaky, True)):
        net = spectra.Network(**(RELU | {"order": "sum", "activation": activation}), depth=9, alpha=0.5)
        blocks = blocks_of(layers_of(mean_field(net)))
        few, more = BlockEquation(blocks, 4), BlockEquation(blocks, 7)
        assert needs_nodes(blocks) == needed
        assert (np.max(np.abs(few.solve(u).psi - more.solve(u).psi)) < 1e-12) != needed


def free_words(**keys: Any) -> str:
    return " ".join(spectra.predict(spectra.Network(**keys)).checks.notes)


def test_what_is_below_rounding_is_no_defect() -> None:
    # Identity has one slope, and free blocks.
    words = free_words(**LINEAR, depth=3, alpha=0.5)
    assert "off by" not in words
    assert "%" not in words


def test_small_defects_have_digits() -> None:
    net = LINEAR | {"activation": "tanh", "depth": 3, "alpha": 0.08}
    words = free_words(**net)
    found = re.search(r"m_2 off by (-\d\.\de-\d\d) and m_4 by -0\.\d\d%", words)
    assert found is not None, words
    # By the recursion, which solves no equation.
    field = mean_field(spectra.Network(**net))
    (_, second), (_, fresh) = first_two_moments(field), first_two_moments(field, fresh=True)
    assert float(found[1]) == pytest.approx(fresh / second - 1.0, rel=0.06)
