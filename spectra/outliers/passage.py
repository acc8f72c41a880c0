"""What one layer does to a neuron: how its state goes on, and what the signal has marked there."""

from __future__ import annotations

from dataclasses import dataclass

from .._types import Array


@dataclass(frozen=True, eq=False)
class Between:
    """A unit between two weights W_k and W_{k+1} of a branch: z ← φ(h), h = W_k z + b, H = φ'(h).

    Attributes
    ----------
    squares : values of H² that carry its law, (J,).
    given, taken, both : weights (J,) with Σ_j w_j y(H_j²) = E[v y(H²)], v = f², e², fe: f of W_k, e of W_{k+1}.
    """

    squares: Array
    given: Array
    taken: Array
    both: Array


@dataclass(frozen=True, eq=False)
class Passage:
    """A layer of one neuron, from x = x_{l−1} to x_l; E and D stand before and after its weights, βD_0 beside them.

    The state x is told by n functions b of it, the next one by n′. What is asked of E, D, D_0 is carried by J sets of
    values of them, and for every product v of 1, e, f there is a tensor M with

        Σ_j y_j M_{jab} = coefficients of E[v y b′_b(x_l) | x] in the functions b_a(x).

    e = E g(x)/|g(x)|, g(x) what the first weights take, φ(x) or x itself; f = αD W z/|z|, z what the last ones take.

    Attributes
    ----------
    inner, outer, through : E², D², βD_0, (J,).
    one, e, f, ee, ef, ff : M of these products, (J, n, n′); of the first layer n = 1, after the last one the functions
        are 1, x, x².
    hidden : between the weights, where there are several.
    """

    inner: Array
    outer: Array
    through: Array
    one: Array
    e: Array
    f: Array
    ee: Array
    ef: Array
    ff: Array
    hidden: tuple[Between, ...] = ()

    @property
    def weights(self) -> int:
        """How many matrices there are."""
        return len(self.hidden) + 1
