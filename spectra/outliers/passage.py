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

    What is asked of E, D, D_0 is carried by J sets of values of them, and for every product v of 1, e, f there is a
    tensor M with

        Σ_j y_j M_{jab} = coefficients of E[v y b′_b(x_l) | x] in functions b_a(x).

    e = E z_1/|z_1|, z_1 what the first weights take, φ(x) or x itself; f = αD W z/|z|, z what the last ones take. Three
    sets of functions b of each state tell what is still to come: what two, one, no vectors are multiplied with beyond.
    Of the input there is but a constant, which counts as any; x_L has 1, 1 and x, 1 and x and x².

    Attributes
    ----------
    inner, outer, through : E², D², βD_0, (J,).
    one : M of 1 from none of the vectors to none, from one to one, from two to two.
    e, f : M of these from one vector to none, from two to one.
    pairs : M of ee, ef, ff, from two to none.
    hidden : between the weights, where there are several.
    """

    inner: Array
    outer: Array
    through: Array
    one: tuple[Array, Array, Array]
    e: tuple[Array, Array]
    f: tuple[Array, Array]
    pairs: tuple[Array, Array, Array]
    hidden: tuple[Between, ...] = ()

    @property
    def weights(self) -> int:
        """How many matrices there are."""
        return len(self.hidden) + 1
