"""Aliases for annotations."""

from __future__ import annotations

from typing import Any, TypeAlias

# An array of real or complex numbers, of booleans or of indices, of the shape the docstring states.  numpy's stubs know
# no type that has `.real` for either kind of number and is a valid index as well, so that a checker is told nothing.
Array: TypeAlias = Any
