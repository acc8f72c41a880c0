"""One layer of a sampled network put to the left of the product of those before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..network.architectures.thinned import BatchProjection, Beside, Thinned, mean_square
from .reflectors import HaarMatrix

if TYPE_CHECKING:
    from .arrays import Arrays
    from .forward import LayerPass
    from .graded import GradedProduct


def put_layer(product: GradedProduct, layer: LayerPass, arrays: Arrays, *, orthogonal: bool, examples: int = 1) -> None:
    """Multiply by outer (skip · 1 + left W right).

    What a projection takes out leaves as many rows less: zeros are counted, not rounded.

    Parameters
    ----------
    orthogonal : W has equal singular values.
    examples : how many of them J is of; W acts on each.
    """
    if examples > 1:
        every = np.kron(arrays.host(_dense(layer.weights)), np.eye(examples))
        layer = layer._replace(weights=arrays.array(every))
    if not layer.skip and layer.right is None:
        _put(product, layer.left, arrays, weights=layer.weights, orthogonal=orthogonal)
    else:
        rows = layer.outer if isinstance(layer.outer, np.ndarray) else None
        block = _block(layer, arrays)
        outside = mean_square(layer.outer)
        if rows is not None and (not rows.all() or not outside):
            # Rows that vanish are counted.
            product.multiply(block, rows)
            return
        product.multiply_block(block, layer.skip, layer.chi / outside, rows)
    if isinstance(layer.outer, Thinned):
        _put(product, layer.outer, arrays)


def _put(
    product: GradedProduct, beside: Beside, arrays: Arrays, *, weights: Any = None, orthogonal: bool = False
) -> None:
    """Multiply by diag(slopes) P W, P diag(slopes) W or diag(slopes) W; W = 1 where left out."""
    if not isinstance(beside, Thinned):
        product.multiply(weights, beside, orthogonal=orthogonal)
        return
    basis, sizes = beside.projection.range()
    size = basis.shape[0]
    ones = np.ones(size)
    if beside.inside:
        first = arrays.array(np.eye(size)) if weights is None else weights
        product.multiply(first, beside.slopes, orthogonal=orthogonal or weights is None)
        product.multiply(arrays.array(basis.T), sizes)
        product.multiply(arrays.array(basis), ones, orthogonal=True)
        return
    across = arrays.array(basis.T)
    product.multiply(across if weights is None else across @ _dense(weights), sizes)
    product.multiply(arrays.array(basis), beside.slopes, orthogonal=True)


def _block(layer: LayerPass, arrays: Arrays) -> Any:
    """The matrix skip · 1 + left W right."""
    weights, left, right = layer.weights, layer.left, layer.right
    if isinstance(right, Thinned):
        weights, right = _columns(_dense(weights), right, arrays), None
    if isinstance(left, Thinned):
        if right is not None:
            weights, right = _dense(weights) * arrays.array(right)[None, :], None
        weights, left = _columns(_dense(weights).T, _transposed(left), arrays).T, np.ones(left.slopes.size)
    return arrays.beside_skip(weights, left, right, layer.skip)


def _transposed(beside: Thinned) -> Thinned:
    return beside._replace(inside=not beside.inside)


def _columns(matrix: Any, beside: Thinned, arrays: Arrays) -> Any:
    """M diag(slopes) P, or M P diag(slopes) where `inside`."""
    slopes, projection = arrays.array(beside.slopes)[None, :], beside.projection
    if not beside.inside:
        matrix = matrix * slopes
    if isinstance(projection, BatchProjection):
        matrix = arrays.array(projection.times(arrays.host(matrix).T).T)
    else:
        taken = arrays.array((1.0 - projection.kept) * projection.directions).T
        matrix = matrix - (matrix @ arrays.array(projection.directions)) @ taken
    return matrix * slopes if beside.inside else matrix


def _dense(weights: Any) -> Any:
    return weights.dense() if isinstance(weights, HaarMatrix) else weights
