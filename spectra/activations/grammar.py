"""Text to sympy through a whitelist: `tanh(x) + x/10` and nothing that could run code.

The text is read by `ast` (never `eval`, never `sympify`), every node is checked, and the sympy expression is built
here, node by node. Length, depth, number of nodes, exponents and constants are bounded, so that no input can hang or
exhaust memory.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Mapping
from typing import Any

import sympy

from spectra.activations import symbolic
from spectra.errors import ConfigError

MAX_LENGTH = 500
MAX_DEPTH = 40
MAX_NODES = 300
MAX_EXPONENT = 64
MAX_CONSTANT = 1e100  # larger or (nonzero) smaller constants serve no activation and invite overflow


# unevaluated: sympy's simplification of nested Max and Min can take forever, and the branches do not need it
def _maximum(*arguments: Any) -> Any:
    return sympy.Max(*arguments, evaluate=False)


def _minimum(*arguments: Any) -> Any:
    return sympy.Min(*arguments, evaluate=False)


def _relu(u: Any) -> Any:
    return _maximum(u, sympy.Integer(0))


def _clip(u: Any, low: Any, high: Any) -> Any:
    return _maximum(_minimum(u, high), low)


# name -> (number of arguments, constructor); None: two or more
_FUNCTIONS: dict[str, tuple[int | None, Callable[..., Any]]] = {
    **{name: (1, primitive) for name, primitive in symbolic.PRIMITIVES.items()},
    **{
        name: (1, getattr(sympy, name))
        for name in ("exp", "log", "sqrt", "sin", "cos", "sinh", "cosh", "atan", "asinh", "erf", "erfc", "sign")
    },
    "arctan": (1, sympy.atan),
    "arcsinh": (1, sympy.asinh),
    "Abs": (1, sympy.Abs),
    "abs": (1, sympy.Abs),
    "Heaviside": (1, lambda u: sympy.Heaviside(u)),
    "relu": (1, _relu),
    "silu": (1, lambda u: u * symbolic.sigmoid(u)),
    "gelu": (1, lambda u: u * symbolic.normal_cdf(u)),
    "clip": (3, _clip),
    "Max": (None, _maximum),
    "max": (None, _maximum),
    "Min": (None, _minimum),
    "min": (None, _minimum),
}
_CONSTANTS = {"pi": sympy.pi, "E": sympy.E}
_BINARY = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
}
_COMPARE = {
    ast.Lt: sympy.StrictLessThan,
    ast.LtE: sympy.LessThan,
    ast.Gt: sympy.StrictGreaterThan,
    ast.GtE: sympy.GreaterThan,
}


def parse(text: str, names: Mapping[str, Any] | None = None) -> Any:
    """Sympy expression of `text` in the variable x (and `names`, symbols of parameters).

    Raises
    ------
    ConfigError : anything outside the grammar; the message says what, and what is allowed.
    """
    if not isinstance(text, str):
        raise ConfigError(f'`expr = {text!r}`: must be text such as "tanh(x) + x/10".')
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"`expr`: {len(text)} characters; at most {MAX_LENGTH} are allowed.")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(
            f"`expr = {shortened(text)!r}`: not an expression ({type(error).__name__}: {error.args[0]})."
        ) from None
    return _Builder(text, {"x": symbolic.X, **_CONSTANTS, **(names or {})}).build(tree.body, 0)


def shortened(text: str) -> str:
    """Return the text for an error message, at most 80 characters."""
    return text if len(text) <= 80 else text[:77] + "..."


class _Builder:
    """One walk over the syntax tree, counting nodes and refusing whatever is not listed."""

    def __init__(self, text: str, names: Mapping[str, Any]) -> None:
        self.text, self.names, self.nodes = text, names, 0

    def refuse(self, why: str) -> ConfigError:
        return ConfigError(f"`expr = {shortened(self.text)!r}`: {why}.")

    def build(self, node: ast.AST, depth: int) -> Any:
        self.nodes += 1
        depth += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise self.refuse(f"too deep or too long (at most {MAX_DEPTH} levels, {MAX_NODES} terms)")
        match node:
            case ast.Constant():
                result = self.constant(node)
            case ast.Name():
                result = self.name(node)
            case ast.UnaryOp():
                result = self.unary(node, depth)
            case ast.BinOp():
                result = self.binary(node, depth)
            case ast.Call():
                result = self.call(node, depth)
            case ast.Compare():
                result = self.compare(node, depth)
            case _:
                kind = type(node).__name__.lower()
                raise self.refuse(f"{kind} is not allowed; use + - * / **, numbers, x and functions of x")
        return self.bounded(result) if isinstance(result, sympy.Expr) else result

    def bounded(self, expression: Any) -> Any:
        """Refuse constants that are complex, infinite or absurdly large, before they are built upon."""
        if expression.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
            raise self.refuse("division by zero or an infinite constant")
        if expression.is_number and not expression.is_Symbol:
            value = complex(sympy.N(expression, 20))
            if value.imag != 0.0:
                raise self.refuse(f"{expression} is not real")
            if abs(value.real) > MAX_CONSTANT or (0.0 < abs(value.real) < 1.0 / MAX_CONSTANT):
                raise self.refuse(f"the constant {str(expression)[:40]} is out of range (1e-100 to 1e100)")
        return expression

    def constant(self, node: ast.Constant) -> Any:
        value = node.value
        if value is True:
            return sympy.true
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.refuse(f"{value!r} is not a number")
        if not abs(value) <= MAX_CONSTANT:
            raise self.refuse("a number is out of range (at most 1e100)")
        if isinstance(value, int):
            return sympy.Integer(value)
        # the decimal digits as written, not their binary rounding, so that 0.1 is 1/10 at any precision
        return sympy.Rational((ast.get_source_segment(self.text.strip(), node) or "").replace("_", ""))

    def name(self, node: ast.Name) -> Any:
        if node.id not in self.names:
            hint = "a function needs its argument in parentheses" if node.id in _FUNCTIONS else "the variable is x"
            raise self.refuse(f"unknown name {node.id!r} ({hint}; constants: pi, E)")
        return self.names[node.id]

    def unary(self, node: ast.UnaryOp, depth: int) -> Any:
        operand = self.build(node.operand, depth)
        if isinstance(node.op, ast.USub):
            return -operand
        if isinstance(node.op, ast.UAdd):
            return operand
        raise self.refuse("only + and - may stand before a term")

    def binary(self, node: ast.BinOp, depth: int) -> Any:
        left, right = self.build(node.left, depth), self.build(node.right, depth)
        if not (isinstance(left, sympy.Expr) and isinstance(right, sympy.Expr)):
            raise self.refuse("arithmetic needs numbers, not conditions")
        if isinstance(node.op, ast.Div):
            if right.is_number and right == 0:
                raise self.refuse("division by zero")
            return left / right
        if isinstance(node.op, ast.Pow):
            return self.power(left, right)
        if type(node.op) in _BINARY:
            return _BINARY[type(node.op)](left, right)
        raise self.refuse(f"operator {type(node.op).__name__} is not allowed (powers are written **)")

    def power(self, base: Any, exponent: Any) -> Any:
        if exponent.is_number:
            if abs(float(exponent)) > MAX_EXPONENT:
                raise self.refuse(f"exponent {str(exponent)[:20]} is too large (at most {MAX_EXPONENT})")
            return base**exponent
        if base.is_number and base.is_positive:
            return sympy.exp(exponent * sympy.log(base))
        raise self.refuse("an exponent must be a number, unless the base is a positive number")

    def call(self, node: ast.Call, depth: int) -> Any:
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise self.refuse("only plain calls such as tanh(x) are allowed")
        name = node.func.id
        if name == "Piecewise":
            return self.piecewise(node, depth)
        if name not in _FUNCTIONS:
            near = difflib.get_close_matches(name, [*_FUNCTIONS, "Piecewise"], n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise self.refuse(
                f"unknown function {name!r}; {hint}allowed: {', '.join(sorted({*_FUNCTIONS, 'Piecewise'}))}"
            )
        count, constructor = _FUNCTIONS[name]
        arguments = [self.build(argument, depth) for argument in node.args]
        if not all(isinstance(a, sympy.Expr) for a in arguments):
            raise self.refuse(f"{name} needs numbers, not conditions")
        if len(arguments) != count and not (count is None and len(arguments) >= 2):
            raise self.refuse(f"{name} takes {count or 'two or more'} argument(s), not {len(arguments)}")
        return constructor(*arguments)

    def piecewise(self, node: ast.Call, depth: int) -> Any:
        pieces = []
        for argument in node.args:
            if not (isinstance(argument, ast.Tuple) and len(argument.elts) == 2):
                raise self.refuse("Piecewise takes pairs: Piecewise((0, x < 0), (x, True))")
            value, condition = (self.build(part, depth) for part in argument.elts)
            if not isinstance(value, sympy.Expr) or isinstance(condition, sympy.Expr):
                raise self.refuse("each pair of Piecewise is (expression, condition)")
            pieces.append((value, condition))
        if not pieces or pieces[-1][1] != sympy.true:
            raise self.refuse("the last pair of Piecewise must have the condition True")
        return sympy.Piecewise(*pieces, evaluate=False)

    def compare(self, node: ast.Compare, depth: int) -> Any:
        if len(node.ops) != 1 or type(node.ops[0]) not in _COMPARE:
            raise self.refuse("a condition is one comparison with <, <=, > or >=")
        left, right = self.build(node.left, depth), self.build(node.comparators[0], depth)
        if not (isinstance(left, sympy.Expr) and isinstance(right, sympy.Expr)):
            raise self.refuse("a condition compares numbers")
        return _COMPARE[type(node.ops[0])](left, right)
