"""Fixtures of several test files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import TANH

_approx = pytest.approx


def _relative(expected: Any, rel: float | None = None, abs: float | None = None, nan_ok: bool = False) -> Any:
    """`pytest.approx` without the 1e-12 it adds where `rel` is given: small numbers would pass whatever they are."""
    return _approx(expected, rel=rel, abs=0.0 if abs is None and rel is not None else abs, nan_ok=nan_ok)


pytest.approx = _relative


@pytest.fixture
def net(tmp_path, monkeypatch):
    """Write a configuration and go where it lies."""
    monkeypatch.chdir(tmp_path)

    def write(text: str = TANH, name: str = "net.toml") -> str:
        Path(name).write_text(text)
        return name

    return write
