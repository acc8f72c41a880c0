"""Sympy to Python source that calls `primitives`: the code of the catalogue and of user expressions.

Only the node types that `grammar` and differentiation can produce are known; anything else is an error, so the
text handed to `compile` never contains a name that is not a primitive, a parameter or x.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import sympy

from spectra.activations import primitives

_X = sympy.Symbol("x", real=True)
_SHARED = {_X: "p.copy", sympy.Integer(0): "p.zero", sympy.Integer(1): "p.one"}
_KNOWN = frozenset(name for name in vars(primitives) if not name.startswith("_")) - {
    *("np", "Any", "annotations", "constant", "copy", "zero", "one")
}


def shared(expression: Any) -> str | None:
    """Name of the primitive that is `expression` (x, 0 or 1), if there is one."""
    return _SHARED.get(expression)


def lines(expression: Any) -> list[str]:
    """Body of a function of x returning `expression`: temporaries for what repeats, then the return line."""
    if not expression.has(_X):
        return [f"return p.constant(x, {_Writer({}).write(expression, 0)})"]
    if expression == _X:
        return ["return p.copy(x)"]
    counts = Counter(
        node
        for node in sympy.preorder_traversal(expression)
        if isinstance(node, (sympy.Function, sympy.Add)) and node.has(_X)
    )
    repeated = [node for node, count in counts.items() if count > 1]
    temporaries: dict[Any, str] = {}
    body = []
    # inner before outer: a node has more operations than any of its parts
    for node in sorted(repeated, key=lambda n: (n.count_ops(), sympy.default_sort_key(n))):
        right = _Writer(temporaries).write(node, 0)
        temporaries[node] = f"t{len(temporaries)}"
        body.append(f"{temporaries[node]} = {right}")
    return [*body, f"return {_Writer(temporaries).write(expression, 0)}"]


@lru_cache(maxsize=1024)
def function(expression: Any, name: str) -> Callable[[Any], Any]:
    """Compiled numpy function of x for a parameter-free expression.

    It never warns: an intermediate such as cosh³ may overflow on the way to a harmless 0, and whoever compiles
    an expression of a user verifies its values.
    """
    text = f"def {name}(x):\n" + "".join(f"    {line}\n" for line in lines(expression))
    namespace: dict[str, Any] = {"__builtins__": {}, "p": primitives}
    exec(compile(text, f"<activation {name}>", "exec"), namespace)
    compiled = namespace[name]

    def quiet(x: Any) -> Any:
        with np.errstate(all="ignore"):
            return compiled(x)

    return quiet


_ADD, _MUL, _POW = 1, 2, 3  # binding strengths


class _Writer:
    """Recursive printer; `strength` is how tightly the surrounding operator binds."""

    def __init__(self, temporaries: dict[Any, str]) -> None:
        self.temporaries = temporaries

    def write(self, e: Any, strength: int) -> str:
        if e in self.temporaries:
            return self.temporaries[e]
        if e.is_number and not e.free_symbols:
            value = float(sympy.N(e, 30))
            text = repr(value)
            return f"({text})" if value < 0.0 and strength >= _MUL else text
        if isinstance(e, sympy.Symbol):
            return e.name
        if isinstance(e, sympy.Add):
            text, level = self._sum(e), _ADD
        elif isinstance(e, sympy.Mul):
            text, level = self._product(e), _MUL
        elif isinstance(e, sympy.Pow) or (isinstance(e, sympy.exp) and e.args[0] == 1):
            text, level = self._power(e)
        elif isinstance(e, sympy.Function) and type(e).__name__ in _KNOWN and len(e.args) == 1:
            text, level = f"p.{type(e).__name__}({self.write(e.args[0], 0)})", _POW + 1
        else:
            raise NotImplementedError(f"no numerical code for {type(e).__name__}")
        return f"({text})" if level < strength or (level == strength == _POW) else text

    def _sum(self, e: Any) -> str:
        parts = []
        for term in e.as_ordered_terms():
            negative = term.could_extract_minus_sign() and not isinstance(term, sympy.Add)
            text = self.write(-term if negative else term, _ADD + 1 if negative else _ADD)
            parts.append((" - " if negative else " + ") + text)
        first = parts[0]
        return (first[3:] if first.startswith(" + ") else "-" + first[3:]) + "".join(parts[1:])

    def _product(self, e: Any) -> str:
        # constants are folded into one literal so that x/6*2/3 costs one multiplication
        numbers, rest = [], []
        for factor in e.as_ordered_factors():
            (numbers if factor.is_number else rest).append(factor)
        number: Any = sympy.Mul(*numbers)
        top, bottom = [], []
        for factor in rest:
            if isinstance(factor, sympy.Pow) and factor.exp.is_number and factor.exp.is_negative:
                bottom.append(self.write(factor.base ** (-factor.exp), _POW))
            else:
                top.append(self.write(factor, _MUL + 1))
        sign = ""
        if number.is_negative:
            sign, number = "-", -number
        if number.is_Rational and number.p == 1 and number.q != 1 and top:
            bottom.insert(0, repr(float(number.q)))
        elif number != 1 or not top:
            top.insert(0, self.write(number, _MUL + 1))
        text = "*".join(top)
        if bottom:
            text += "/" + (bottom[0] if len(bottom) == 1 else "(" + "*".join(bottom) + ")")
        return sign + text

    def _power(self, e: Any) -> tuple[str, int]:
        base, exponent = e.base, e.exp
        if exponent == -1:
            return f"1.0/{self.write(base, _POW)}", _MUL
        if exponent.is_number and exponent.is_negative:
            return f"1.0/{self.write(base ** (-exponent), _POW)}", _MUL
        if exponent == sympy.Rational(1, 2):
            return f"p.sqrt({self.write(base, 0)})", _POW + 1
        power = str(int(exponent)) if exponent.is_Integer else repr(float(exponent))
        return f"{self.write(base, _POW)}**{power}", _POW
