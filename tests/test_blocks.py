"""General blocks, free products of blocks, edges and tails, each against another route."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from test_correlated import activation, blocks, variances

from spectra.correlated import Block, BlockEquation, FreeBlock, FreeEquation, Layer, block_law, blocks_of, free_law
from spectra.correlated.bulks import bulks_of
from spectra.correlated.density import chart_of
from spectra.correlated.free_product import free_blocks, free_moments
from spectra.correlated.grid import Grid
from spectra.correlated.infinite_depth import infinite_depth_moments
from spectra.correlated.known import density_at
from spectra.correlated.moments import block_moments
from spectra.correlated.paths import matrix_product
from spectra.network.expectations import gaussian_moments

MASKS = (np.array([0.0, 1.0]), np.array([0.5, 0.5]))


def gated(weights: np.ndarray) -> list[Block]:
    """Two blocks D_0 + √s_1 D_1 W_1 E_1 + √s_2 D_2 W_2 E_2, a neuron in one of three states in each, jointly."""
    first = np.array([[0.8, 1.0, 0.3, 0.5, 1.0], [0.1, 0.4, 1.0, 0.0, 0.7], [0.5, 0.0, 0.2, 1.0, 1.0]])
    second = np.array([[0.2, 0.9, 1.0, 1.0, 0.4], [1.0, 1.0, 0.5, 0.3, 0.0], [0.0, 0.2, 0.8, 0.6, 1.0]])
    haar = np.array([False, True])
    left = Block(np.array([0.5, 0.3]), haar, first, weights[:, None, :])
    right = Block(np.array([0.2, 0.6]), ~haar, second, np.eye(3)[:, :, None])
    return [left, right]


JOINT = np.array([[0.20, 0.05, 0.10], [0.05, 0.25, 0.05], [0.15, 0.05, 0.10]])


def enumerated(chain: list[Block], joint: np.ndarray, u: complex) -> complex:
    """ψ(u) with the whole matrix of every joint state inverted, by plain damped iteration."""
    zeta = np.sqrt(complex(u))
    zeta = -zeta if zeta.imag > 0 else zeta
    a = np.full((2, 2), -0.05j)
    b = np.full((2, 2), -0.05j)
    for _ in range(3000):
        means_a, means_b, corner = np.zeros((2, 2), complex), np.zeros((2, 2), complex), 0.0
        for states in itertools.product(range(3), repeat=2):
            matrix = np.zeros((6, 6), complex)
            matrix[0, 0] = matrix[5, 5] = -zeta
            for k, (block, state) in enumerate(zip(chain, states, strict=True)):
                d0, e1, d1, e2, d2 = block.values[state]
                matrix[2 * k + 1, 2 * k + 1] = -(e1 * b[k, 0] + e2 * b[k, 1])
                matrix[2 * k + 2, 2 * k + 2] = -(d1 * a[k, 0] + d2 * a[k, 1])
                matrix[2 * k + 1, 2 * k + 2] = matrix[2 * k + 2, 2 * k + 1] = -math.sqrt(d0)
                matrix[2 * k, 2 * k + 1] = matrix[2 * k + 1, 2 * k] = 1.0
            matrix[4, 5] = matrix[5, 4] = 1.0
            inverse, share = np.linalg.inv(matrix), joint[states]
            corner += share * inverse[0, 0]
            for k, (block, state) in enumerate(zip(chain, states, strict=True)):
                means_a[k] += share * block.values[state, 1::2] * inverse[2 * k + 1, 2 * k + 1]
                means_b[k] += share * block.values[state, 2::2] * inverse[2 * k + 2, 2 * k + 2]
        new_a, new_b = means_a.copy(), means_b.copy()
        for k, block in enumerate(chain):
            for j in np.flatnonzero(block.haar):
                # R-transform of a Haar unitary, as a continued fraction.
                y, turn = block.gains[j] * means_a[k, j] * means_b[k, j], 1.0 + 0.0j
                for _ in range(100):
                    turn = 1.0 / (1.0 + y * turn)
                new_a[k, j], new_b[k, j] = means_a[k, j] * turn, means_b[k, j] * turn
            new_a[k], new_b[k] = block.gains * new_a[k], block.gains * new_b[k]
        step = max(np.abs(new_a - a).max(), np.abs(new_b - b).max())
        a, b = 0.5 * (a + new_a), 0.5 * (b + new_b)
        if step < 1e-14:
            break
    return complex(zeta * corner)


@pytest.mark.parametrize("u", [0.2 - 0.1j, 0.7 - 0.3j])
def test_general_blocks_are_what_enumeration_gives(u: complex) -> None:
    chain = gated(JOINT)
    found = BlockEquation(chain, 14).solve(np.array([u]))
    assert found.solved.all()
    assert found.psi[0] == pytest.approx(enumerated(chain, JOINT, u), rel=1e-8)


def haar(size: int, rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return q * np.sign(np.diag(r))


def test_general_blocks_have_the_moments_of_sampled_matrices() -> None:
    chain, rng, samples = gated(JOINT), np.random.default_rng(5), 24
    predicted = block_moments(BlockEquation(chain, 10), 3, 6.0)
    found = {}
    for size in (100, 200):
        # Neurons exactly in the shares of the table, in an order of their own: nothing else fluctuates.
        states = np.repeat(np.arange(9), np.round(JOINT.ravel() * size).astype(int))
        moments = []
        for _ in range(samples * 200 // size):
            jacobian = np.eye(size)
            for k, block in enumerate(chain):
                here = block.values[states // 3 if k == 0 else states % 3]
                layer = np.diag(np.sqrt(here[:, 0]))
                for j in range(2):
                    weights = haar(size, rng) if block.haar[j] else rng.standard_normal((size, size)) / math.sqrt(size)
                    inner, outer = here[:, 1 + 2 * j], here[:, 2 + 2 * j]
                    layer += np.sqrt(block.gains[j] * outer)[:, None] * weights * np.sqrt(inner)
                jacobian = layer @ jacobian
            squares = jacobian @ jacobian.T
            moments.append([np.trace(np.linalg.matrix_power(squares, n)) / size for n in (1, 2, 3)])
        found[size] = np.mean(moments, axis=0), np.std(moments, axis=0, ddof=1) / math.sqrt(len(moments))
    # The bias is of order 1/N: twice the wider less the narrower has none.
    value = 2.0 * found[200][0] - found[100][0]
    error = np.hypot(2.0 * found[200][1], found[100][1])
    assert np.all(np.abs(value - predicted) < 4.0 * error)
    # Where the diagonals of the two blocks were independent, the second moment would be told apart.
    apart = gated(np.outer(JOINT.sum(axis=1), JOINT.sum(axis=0)))
    assert abs(block_moments(BlockEquation(apart, 10), 2, 6.0)[1] / predicted[1] - 1.0) > 0.01


def test_chains_of_matrices_carry_the_law_of_paths() -> None:
    # Three masks of a Gaussian chain: Sheppard's formula for each pair, and all three.
    r = variances("relu", 3, 0.5)
    chain = blocks("relu", r, 0.25)
    masks = [block.inner[:, 0] for block in chain]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        weights = [mask if k in (i, j) else np.ones(2) for k, mask in enumerate(masks)]
        product = np.ones((1, 1))
        for block, weight in zip(chain, weights, strict=True):
            product = product @ np.einsum("j,jab->ab", weight, block.core)
        assert product[0, 0] == pytest.approx(0.25 + math.asin(math.sqrt(r[i] / r[j])) / (2.0 * math.pi), abs=1e-9)


def test_a_markov_chain_is_taken_apart_and_put_together() -> None:
    rng = np.random.default_rng(2)
    mixtures = [rng.dirichlet(np.ones(3), size=5) for _ in range(3)]
    steps = [rng.dirichlet(np.ones(5), size=5) for _ in range(2)]
    shares = [rng.dirichlet(np.ones(5))]
    for step in steps:
        shares.append(shares[-1] @ step)
    values = [np.array([0.0, 0.3, 1.0])] * 3
    cores = matrix_product(shares, mixtures, steps, values, [1.0, 0.5, 0.1])
    for j in itertools.product(range(3), repeat=3):
        inner = mixtures[2][:, j[2]]
        inner = mixtures[1][:, j[1]] * (steps[1] @ inner)
        expected = shares[0] @ (mixtures[0][:, j[0]] * (steps[0] @ inner))
        found = (cores[0][j[0]] @ cores[1][j[1]] @ cores[2][j[2]])[0, 0]
        assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_matrices_of_long_chains_keep_the_mean_of_every_slope(name: str) -> None:
    depth = 64
    r = variances(name, depth, 0.125)
    matrix, means = np.ones((1, 1)), []
    chain = blocks(name, r, 1.0 / depth)
    beyond = [np.ones((1, 1))]
    for block in chain[:0:-1]:
        beyond.append(block.core.sum(axis=0) @ beyond[-1])
    for block, rest in zip(chain, beyond[::-1], strict=True):
        means.append(float((matrix @ np.einsum("j,jab->ab", block.inner[:, 0], block.core) @ rest)[0, 0]))
        matrix = matrix @ block.core.sum(axis=0)
    assert matrix[0, 0] == pytest.approx(1.0, abs=1e-12)
    moments = gaussian_moments(activation(name))
    assert means == pytest.approx([moments.at(x).slope2 for x in r], abs=1e-10)
    assert max(block.core.shape[2] for block in chain) < 32


def test_a_negative_skip_turns_signs_of_neurons_and_nothing_else() -> None:
    # x ↦ (−1)^l x makes β of −β, and φ'(x) of φ'(−x): the same for even slopes, but ReLU's masks then alternate.
    u = np.array([0.3 - 0.1j, 0.8 - 0.3j])
    for name, same in (("tanh", True), ("relu", False)):
        r = variances(name, 3, 0.6)
        found = []
        for skip in (1.0, -1.0):
            layers = [Layer(activation(name), v, skip, 0.36, False, True) for v in r]
            found.append(BlockEquation(blocks_of(layers), 12).solve(u).psi)
        assert bool(np.allclose(found[0], found[1], rtol=1e-9)) is same
    # Two ReLU blocks of correlation −ρ: both masks are 1 with probability ¼ − asin ρ/2π.
    layers = [Layer(activation("relu"), v, -1.0, 0.36, False, True) for v in r[:2]]
    first, second = blocks_of(layers)
    both = (first.core[1] @ second.core[1])[0, 0]
    assert both == pytest.approx(0.25 - math.asin(math.sqrt(r[0] / r[1])) / (2.0 * math.pi), abs=1e-9)
    grid = Grid.between(np.array([0.0]), 0.3, 1.8)
    assert grid.expectation(np.array([0.7]), -0.8) @ grid.nodes**2 == pytest.approx([0.64 * 0.49 + 0.36], abs=1e-10)


@pytest.mark.parametrize("haar", [False, True])
def test_one_block_is_free(haar: bool) -> None:
    # With one diagonal there is nothing to commute: both theories are the same.
    u = np.array([0.3 - 0.1j, 0.9 - 0.6j, 0.8, 1.3])
    places, share = np.array([0.1, 0.5, 1.0]), np.array([0.2, 0.5, 0.3])
    values = np.stack([np.full(3, 0.8), places, np.ones(3)], axis=1)
    blocks = [Block.alone(np.array([0.4]), np.array([haar]), values, share)]
    free = FreeEquation([FreeBlock(math.sqrt(0.8), 0.4, haar, places, share)]).solve(u)
    assert free.solved.all()
    assert free.psi == pytest.approx(BlockEquation(blocks, 14).solve(u).psi, rel=1e-9)


def test_the_free_formula_for_fresh_masks_fails_at_the_fourth_moment() -> None:
    # Two blocks 1 + W D, masks of one half: diagonal matrices commute, and are not free. Sampled complex matrices of
    # width 128 with masks in exact shares, 61 165 of them: m_4 = 722.36(21), m_6 = 64 396(34); their bias is of order
    # 1/N². The free values are 721.72 and 64 154.
    values = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    chain = [Block.alone(np.array([1.0]), np.array([False]), values, MASKS[1]) for _ in range(2)]
    exact = block_moments(BlockEquation(chain, 12), 6, 45.0)
    free = free_moments(FreeEquation([FreeBlock(1.0, 1.0, False, *MASKS, 2.0)]), 6, 45.0)
    assert exact[:3] == pytest.approx([2.25, 11.8125, 85.640625], rel=1e-10)
    assert free[:3] == pytest.approx(exact[:3], rel=1e-10)
    # κ of m_4: 2 χ² Var² over the two blocks, χ = 3/2.
    assert exact[3] - free[3] == pytest.approx(2.0 * 1.5**2 * 0.25**2, rel=1e-8)
    assert abs(exact[5] - 64396.0) < 4.0 * 34.0
    assert abs(free[5] - 64396.0) > 6.0 * 34.0


@pytest.mark.parametrize("haar", [False, True])
def test_many_free_blocks_tend_to_the_limit(haar: bool) -> None:
    # S → exp(−c(1 + 2w)), c the whole variance of the branches: λ_+ = (1 + c + r)e^r, r = √(c(c + 2)), and 1/λ_+.
    c, count = 0.5, 4000
    layer = Layer(activation("relu"), 1.0, 1.0, 1.0 / count, haar, False)
    law = free_law([layer] * count)
    r = math.sqrt(c * (c + 2.0))
    top = (1.0 + c + r) * math.exp(r)
    low, high = law.spectrum.support()
    assert law.uncertified == 0
    assert high == pytest.approx(top, rel=3.0 / count)
    assert low == pytest.approx(1.0 / top, rel=3.0 / count)
    assert law.spectrum.total_mass == pytest.approx(1.0, abs=1e-11)


def test_free_laws_close_in_mass_and_moments_where_variances_differ() -> None:
    layers = [Layer(activation("tanh"), 1.0 + 0.02 * k, 1.0, 0.02, False, False) for k in range(50)]
    law = free_law(layers)
    spectrum, k = law.spectrum, np.arange(1.0, 5.0)
    assert law.uncertified == 0
    assert law.error < 1e-9
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-11)
    by_density = spectrum.log_moments_by_quadrature(k) - k * spectrum.log_mean
    assert by_density == pytest.approx(spectrum.log_scaled_moments(4), abs=1e-10)
    # All of them, one by one.
    every = free_moments(FreeEquation([b for x in layers for b in free_blocks([x], 16)]), 4, 12.0)
    assert np.log(every) == pytest.approx(spectrum.log_scaled_moments(4) + k * spectrum.log_mean, abs=1e-10)


def test_two_linear_dense_layers_are_fuss_catalan_down_to_zero() -> None:
    # Products of two square Gaussian matrices: support [0, 27/4], m_k = binom(3k, k)/(2k + 1).
    dense = Layer(activation("identity"), 1.0, 0.0, 1.0, False, False)
    spectrum = free_law([dense, dense]).spectrum
    assert spectrum.support() == pytest.approx((0.0, 6.75), abs=1e-11)
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-10)
    assert [spectrum.moment(k) for k in (1, 2, 3)] == pytest.approx([1.0, 3.0, 12.0], rel=1e-11)
    # ρ in terms of φ, λ = sin³3φ/(sin φ sin² 2φ) (Biane's parametrisation).
    phi = np.array([0.3, 0.6, 0.9])
    place = np.sin(3 * phi) ** 3 / (np.sin(phi) * np.sin(2 * phi) ** 2)
    height = np.sin(phi) ** 2 * np.sin(2 * phi) / (math.pi * np.sin(3 * phi) ** 2)
    assert spectrum.pdf(place) == pytest.approx(height, rel=1e-8)


def test_a_block_wider_than_its_skip_reaches_zero() -> None:
    # 1 + √t W with t > 1: λ → 0 belongs to the support; t²λG³ − 2tλG² + (λ − 1 + t)G − 1 = 0.
    t = 1.5
    for law in (block_law, free_law):
        spectrum = law([Layer(activation("identity"), 1.0, 1.0, t, False, True)]).spectrum
        assert spectrum.support()[0] == 0.0
        assert spectrum.total_mass == pytest.approx(1.0, abs=1e-8)
        where = np.array([1e-6, 1e-3, 0.5, 4.0])
        exact = [-np.roots([t * t * x, -2.0 * t * x, x - 1.0 + t, -1.0]).imag.min() / math.pi for x in where]
        assert spectrum.pdf(where) == pytest.approx(exact, rel=1e-7)


def test_dense_relu_beside_blocks_leaves_its_atom() -> None:
    layers = [
        Layer(activation("relu"), 1.0, 0.0, 1.0, False, False),
        Layer(activation("relu"), 1.0, 1.0, 0.2, False, False),
    ]
    spectrum = block_law(layers).spectrum
    assert spectrum.atom_at_zero == pytest.approx(0.5, abs=1e-12)
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-9)


def test_a_dense_tanh_layer_beside_a_block_has_its_law_and_its_error() -> None:
    # λ → 0 asks for far more values of a slope than what follows from a block near β.
    # D W after the block is free from it: W is between both diagonals.
    layers = [
        Layer(activation("tanh"), 0.4, 1.0, 0.09, False, False),
        Layer(activation("tanh"), 1.0, 0.0, 1.0, False, False),
    ]
    law = free_law(layers)
    assert law.error < 1e-10
    u = law.spectrum.quantile_at(np.array([0.8, 0.95]))
    density, found = density_at(BlockEquation(blocks_of(layers), 14), u)
    assert found.solved.all()
    assert np.exp(law.spectrum.log_density_at(u)) == pytest.approx(density, rel=1e-7)


def test_edges_are_found_from_inside() -> None:
    # One linear block: edges 1 + 5t/2 − t²/8 ± √t (t + 8)^{3/2}/8, asked of the equation near them.
    t = 0.3
    equation = BlockEquation(blocks("identity", [1.0], t))
    middle, half = 1.0 + 2.5 * t - t * t / 8.0, math.sqrt(t) * (t + 8.0) ** 1.5 / 8.0
    for edge, inward in ((middle + half, 1.0), (middle - half, -1.0)):
        inside = -math.log(edge) + 0.03 * inward
        found = equation.solve(np.exp(np.array([inside])).astype(complex))
        at = equation.edge_near(inside, found.x[0])
        assert at is not None
        assert math.exp(-at) == pytest.approx(edge, rel=1e-12)
    (bulk,) = bulks_of(equation)
    assert chart_of(equation, bulk).mass == pytest.approx(1.0, abs=1e-12)


def test_the_limit_of_infinite_depth() -> None:
    # ReLU: E φ'(x_s)² φ'(x_t)² = ¼ + asin(e^{−c(t − s)/4})/2π, m_1 = e^{c/2}; by scipy's double integral.
    from scipy.integrate import dblquad

    def integrand(s: float, t: float) -> float:
        return math.exp(0.5 * (s - t)) * (0.25 + math.asin(math.exp(0.25 * (s - t))) / (2.0 * math.pi))

    first = math.exp(0.5)
    double = dblquad(integrand, 0.0, 1.0, 0.0, lambda t: t, epsabs=1e-11)[0]
    found = infinite_depth_moments(activation("relu"), 1.0)
    assert found.first == pytest.approx(first, rel=1e-9)
    assert found.second == pytest.approx(first**2 + 2.0 * first * (first - 1.0) + 2.0 * first**2 * double, rel=1e-7)
    assert found.free_second == pytest.approx(2.0 * math.e, rel=1e-9)
    # The blocks themselves: 1/L and 1/L² taken out.
    m = [
        block_moments(BlockEquation(blocks("tanh", variances("tanh", n, n**-0.5), 1.0 / n)), 2, 9.0)
        for n in (8, 16, 32)
    ]
    limit = (8.0 * m[2] - 6.0 * m[1] + m[0]) / 3.0
    smooth = infinite_depth_moments(activation("tanh"), 1.0)
    assert limit == pytest.approx((smooth.first, smooth.second), rel=2e-4)
    assert abs(smooth.free_second / smooth.second - 1.0) > 0.02
