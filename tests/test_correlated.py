"""Chains of blocks whose diagonals are correlated neuron by neuron, against closed forms, enumeration and sampling."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from spectra.activations import Activation
from spectra.correlated import Block, BlockEquation, Layer, block_law, blocks_of
from spectra.correlated.bulks import bulks_of
from spectra.correlated.density import chart_of
from spectra.correlated.fixed_point import solve
from spectra.correlated.grid import Grid
from spectra.correlated.known import density_at
from spectra.correlated.moments import block_moments
from spectra.correlated.network import first_two_moments, layers_of
from spectra.network.config import Network
from spectra.network.expectations import gaussian_moments
from spectra.network.meanfield import mean_field
from spectra.prediction import predict


def activation(name: str) -> Activation:
    return Network(depth=1, activation=name, sigma_w=1.0, sigma_b=0.0, input_variance=1.0).layers[0].activation


def variances(name: str, depth: int, alpha: float) -> list[float]:
    """E x_l² of x + α W φ(x), σ_w = 1, x_0 of variance 1, l = 0 … L − 1."""
    moments = gaussian_moments(activation(name))
    found = [1.0]
    for _ in range(depth - 1):
        found.append(found[-1] + alpha**2 * moments.at(found[-1]).second)
    return found


def blocks(
    name: str, variances: list[float], gain: float, *, haar: bool = False, post: bool = False, **how
) -> list[Block]:
    layers = [Layer(activation(name), r, 1.0, gain, haar, not post) for r in variances]
    return blocks_of(layers, **how)


def pre(name: str, depth: int, alpha: float, *, haar: bool = False, count: int = 8) -> BlockEquation:
    return BlockEquation(blocks(name, variances(name, depth, alpha), alpha**2, haar=haar), count)


@pytest.mark.parametrize("t", [0.1, 0.25, 0.6])
def test_one_linear_gaussian_block_is_known(t: float) -> None:
    # 1 + √t W: t²λG³ − 2tλG² + (λ − 1 + t)G − 1 = 0 (Dozier and Silverstein, J. Multivar. Anal. 98, 2007).
    equation = BlockEquation(blocks("identity", [1.0], t))
    (bulk,) = bulks_of(equation)
    chart = chart_of(equation, bulk)
    middle, half = 1.0 + 2.5 * t - t * t / 8.0, math.sqrt(t) * (t + 8.0) ** 1.5 / 8.0
    assert math.exp(-chart.low) == pytest.approx(middle + half, rel=1e-11)
    assert math.exp(-chart.high) == pytest.approx(middle - half, rel=1e-11)
    assert chart.mass == pytest.approx(1.0, abs=1e-12)
    moments = block_moments(equation, 3, middle + half)
    assert moments == pytest.approx([1 + t, 1 + 4 * t + 2 * t**2, 1 + 9 * t + 15 * t**2 + 5 * t**3], rel=1e-11)
    where = np.array([0.8, 1.3])
    density, _ = density_at(equation, -np.log(where))
    for x, p in zip(where, density, strict=True):
        roots = np.roots([t * t * x, -2.0 * t * x, x - 1.0 + t, -1.0])
        assert p / x == pytest.approx(-roots.imag.min() / math.pi, rel=1e-11)


def test_one_linear_orthogonal_block_is_an_arcsine_law() -> None:
    # 1 + √t Q: λ = 1 + t + 2√t cos θ, θ uniform.
    t = 0.25
    equation = BlockEquation(blocks("identity", [1.0], t, haar=True))
    where = np.array([0.3, 0.8, 1.4, 2.2])
    density, found = density_at(equation, -np.log(where))
    assert found.solved.all()
    assert density / where == pytest.approx(1.0 / (math.pi * np.sqrt(4.0 * t - (where - 1.0 - t) ** 2)), rel=1e-11)


def test_linear_networks_have_the_known_second_moment() -> None:
    # m_2/m_1² = 1 + L(2t + t²)/(1 + t)², correlated or not, the masks are 1.
    depth, t = 6, 0.09
    for how in ({"fresh": True}, {"fresh": False}):
        chain = blocks("identity", [(1.0 + t) ** k for k in range(depth)], t, **how)
        first, second = block_moments(BlockEquation(chain), 2, 20.0)
        assert first == pytest.approx((1.0 + t) ** depth, rel=1e-11)
        assert second / first**2 == pytest.approx(1.0 + depth * (2.0 * t + t * t) / (1.0 + t) ** 2, rel=1e-11)


def masks_of_three(correlations: np.ndarray) -> dict[tuple[int, ...], float]:
    """P(signs of three Gaussians): 1/8 + (asin ρ_12 s_1 s_2 + …)/4π (Sheppard 1899 and its extension to three)."""
    found = {}
    for masks in itertools.product((0, 1), repeat=3):
        s = 2 * np.array(masks) - 1
        turns = sum(math.asin(correlations[i, j] * s[i] * s[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
        found[masks] = 0.125 + turns / (4.0 * math.pi)
    return found


def by_enumeration(alpha: float, u: complex, *, haar: bool = False) -> complex:
    """ψ(u) of three pre-activation ReLU blocks: all eight mask paths, the whole matrix of each inverted."""
    r = variances("relu", 3, alpha)
    correlations = np.array([[math.sqrt(min(a, b) / max(a, b)) for b in r] for a in r])
    paths = masks_of_three(correlations)
    zeta = -np.sqrt(complex(u)) if np.sqrt(complex(u)).imag > 0 else np.sqrt(complex(u))
    a, b = np.full(3, -0.02j), np.full(3, -0.02j)
    for _ in range(4000):
        means_a, means_b, corner = np.zeros(3, complex), np.zeros(3, complex), 0.0
        for masks, share in paths.items():
            # r_0, c_0, r_1, c_1, r_2, c_2, r_3, c_3
            diagonal = [-zeta]
            for k in range(3):
                diagonal += [-masks[k] * b[k], -a[k]]
            matrix = np.diag(np.array([*diagonal, -zeta]))
            for k in range(7):
                matrix[k, k + 1] = matrix[k + 1, k] = 1.0 if k % 2 == 0 else -1.0
            inverse = np.linalg.inv(matrix)
            corner += share * inverse[0, 0]
            for k in range(3):
                means_a[k] += share * masks[k] * inverse[2 * k + 1, 2 * k + 1]
                means_b[k] += share * inverse[2 * k + 2, 2 * k + 2]
        new_a, new_b = alpha**2 * means_a, alpha**2 * means_b
        if haar:
            # R-transform of a Haar unitary: Σ (−1)^n C_n y^n = (√(1 + 4y) − 1)/2y, summed as a fraction.
            y = alpha**2 * means_a * means_b
            turn = 1.0 + 0.0j
            for _ in range(200):
                turn = 1.0 / (1.0 + y * turn)
            new_a, new_b = new_a * turn, new_b * turn
        step = max(np.abs(new_a - a).max(), np.abs(new_b - b).max())
        a, b = 0.5 * (a + new_a), 0.5 * (b + new_b)
        if step < 1e-15:
            break
    return complex(zeta * corner)


@pytest.mark.parametrize("haar", [False, True])
@pytest.mark.parametrize("u", [0.1 - 0.05j, 0.6 - 0.4j, -0.5 - 0.01j])
def test_three_relu_blocks_are_what_enumeration_gives(u: complex, haar: bool) -> None:
    found = solve(pre("relu", 3, 0.5, haar=haar, count=12), np.array([u]))
    assert found.solved.all()
    assert found.psi[0] == pytest.approx(by_enumeration(0.5, u, haar=haar), rel=1e-9)


@pytest.mark.parametrize("distance", [1e-3, 1e-2])
def test_masks_that_hardly_change_leave_a_peak_at_one(distance: float) -> None:
    # What units that are off in all blocks leave: there the law asks for more than small powers of the slopes.
    u = 1.0 - 1j * distance
    found = solve(pre("relu", 3, 1.0 / 16.0, count=12), np.array([u]))
    assert found.solved.all()
    assert found.psi[0] == pytest.approx(by_enumeration(1.0 / 16.0, u), rel=1e-10)


def test_all_paths_and_a_few_nodes_have_one_density() -> None:
    keys = {"activation": "gelu", "kind": "residual", "order": "post", "alpha": 0.5, "sigma_w": 0.54}
    chain = blocks_of(layers_of(mean_field(Network(**keys, depth=4, input_variance=0.09))))
    few, all_paths = BlockEquation(chain, 16), BlockEquation(chain, most=2000)
    assert all_paths.is_exact
    assert not few.is_exact
    u = np.exp(np.array([-0.7, -0.3, 0.2, 0.7]))
    found = [solve(equation, u) for equation in (few, all_paths)]
    assert found[0].psi == pytest.approx(found[1].psi, rel=1e-9)
    # p² is linear up to the edge, at U = −0.7688, where rare paths all but meet their poles.
    beside = [density_at(all_paths, np.array([x]))[0][0] ** 2 for x in (-0.76, -0.764, -0.768)]
    assert beside[0] - beside[1] == pytest.approx(beside[1] - beside[2], rel=0.02)


@pytest.mark.parametrize(("name", "depth"), [("gelu", 4), ("relu", 8)])
def test_blocks_that_add_little_are_certified(name: str, depth: int) -> None:
    keys = {"kind": "residual", "sigma_w": 1.0, "input_variance": 1.0, "alpha": "1/depth"}
    pred = predict(Network(activation=name, depth=depth, **keys))
    assert pred.checks.certified
    # The second moment by its own recursion, without a spectrum.
    m_1, m_2 = first_two_moments(pred.mean_field)
    assert pred.moments(2) == pytest.approx([m_1, m_2], rel=1e-8)


@pytest.mark.parametrize(
    ("depth", "alpha", "sampled", "errors"),
    [
        # Sampled networks of widths extrapolated to infinity.
        (4, 0.5, (1.600, 5.06, 22.7, 121.0), (0.004, 0.03, 0.2, 2.0)),
        (16, 0.25, (1.637, 5.66, 28.9, 177.0), (0.004, 0.04, 0.3, 3.0)),
    ],
)
def test_moments_are_those_of_sampled_networks(depth: int, alpha: float, sampled, errors) -> None:
    equation = pre("relu", depth, alpha)
    moments = block_moments(equation, 4, 10.0)
    # One in 15 000 for each at four standard errors.
    assert np.all(np.abs(moments - sampled) < 4.0 * np.array(errors))
    # Each block multiplies every diagonal entry by the same.
    slopes = gaussian_moments(activation("relu")).at(1.0).slope2
    mean = (1.0 + alpha**2 * slopes) ** depth
    assert moments[0] == pytest.approx(mean, rel=1e-10)
    # Plain freeness is told from them by far.
    fresh = blocks("relu", variances("relu", depth, alpha), alpha**2, fresh=True)
    free = block_moments(BlockEquation(fresh), 4, 10.0)
    assert np.all(np.abs(free - sampled)[1:] > 6.0 * np.array(errors)[1:])


def test_moments_do_not_depend_on_the_number_of_nodes() -> None:
    few, many = (block_moments(pre("relu", 4, 0.5, count=count), 4, 9.0) for count in (5, 14))
    assert few == pytest.approx(many, rel=1e-9)


@pytest.mark.parametrize(("name", "haar"), [("relu", False), ("hardtanh", True)])
def test_the_law_has_mass_one_and_the_moments_of_the_circle(name: str, haar: bool) -> None:
    layers = [Layer(activation(name), r, 1.0, 0.25, haar, True) for r in variances(name, 3, 0.5)]
    law = block_law(layers)
    assert law.uncertified == 0
    assert law.error < 1e-8
    spectrum = law.spectrum
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-11)
    k = np.arange(1.0, 5.0)
    by_density = spectrum.log_moments_by_quadrature(k) - k * spectrum.log_mean
    assert by_density == pytest.approx(spectrum.log_scaled_moments(4), abs=1e-10)


def test_fresh_masks_may_stand_on_either_side() -> None:
    # (1 + XD)(1 + DX)… have the singular values of their transposes, which are blocks of the other order.
    r = [1.0, 1.3, 1.7]
    before = BlockEquation(blocks("relu", r, 0.2, fresh=True))
    after = BlockEquation(blocks("relu", r, 0.2, post=True))
    u = np.array([0.3 - 0.1j, 0.9 - 0.6j])
    assert solve(before, u).psi == pytest.approx(solve(after, u).psi, rel=1e-10)


@pytest.mark.parametrize(("function", "correlation"), [(np.cos, 0.3), (np.sin, 0.995), (lambda z: z**3, 0.8)])
def test_conditional_expectations_on_a_grid(function: Callable, correlation: float) -> None:
    grid = Grid.between(np.array([0.0]), math.sqrt(1.0 - correlation**2), 1.8)
    given = np.array([-2.0, 0.1, 1.0])
    # cos: cos(ρz′) e^{−(1−ρ²)/2}; sin alike; z³: ρ³z′³ + 3ρ(1−ρ²)z′.
    left, fade = 1.0 - correlation**2, math.exp(-0.5 * (1.0 - correlation**2))
    exact = {
        np.cos: np.cos(correlation * given) * fade,
        np.sin: np.sin(correlation * given) * fade,
    }.get(function, (correlation * given) ** 3 + 3.0 * correlation * left * given)
    assert grid.expectation(given, correlation) @ function(grid.nodes) == pytest.approx(exact, abs=1e-9)
    half = grid.expectation(given, correlation) @ (grid.nodes > 0)
    assert half == pytest.approx([0.5 * math.erfc(-correlation * z / math.sqrt(2.0 * left)) for z in given], abs=1e-9)


@pytest.mark.parametrize("order", ["pre", "post"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_relu_layer_beside_blocks_is_free_of_them(order: str, place: str) -> None:
    """J = J_b D W or D W J_b, W Gaussian: m_2 of a free product, and half of the mass at 0.

    m_2(AB) = m_1(A)² m_2(B) + m_2(A) m_1(B)² − m_1(A)² m_1(B)²; of D W, σ² = 2: m_1 = 1, m_2 = 3.
    """
    blocks = {"kind": "residual", "activation": "relu", "alpha": 0.6, "repeat": 3, "order": order}
    dense = {"activation": "relu", "sigma_w": 2**0.5}
    if (order, place) == ("pre", "before"):
        pytest.skip("such blocks need a Gaussian state")
    keys = {"sigma_w": 1.0, "input_variance": 1.0}
    alone = predict(Network(layers=[blocks], **keys)).moments(2)
    pred = predict(Network(layers=[dense, blocks] if place == "before" else [blocks, dense], **keys))
    assert pred.checks.certified
    assert pred.spectrum.atom_at_zero == pytest.approx(0.5, abs=1e-12)
    assert pred.moments(2) == pytest.approx([alone[0], 2.0 * alone[0] ** 2 + alone[1]], rel=1e-9)
