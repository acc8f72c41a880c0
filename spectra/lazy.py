"""Names of a package that are loaded from their modules on first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def lazily(
    package: str, names: Mapping[str, Any], homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package.

    Parameters
    ----------
    package : its `__name__`.
    names : its `globals()`.
    homes : name → the module of the package that has it.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f".{homes[name]}", package), name)

    def listed() -> list[str]:
        return sorted([*names, *homes])

    return load, listed
