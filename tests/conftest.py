"""Fixtures of several test files."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import TANH


@pytest.fixture
def net(tmp_path, monkeypatch):
    """Write a configuration and go where it lies."""
    monkeypatch.chdir(tmp_path)

    def write(text: str = TANH, name: str = "net.toml") -> str:
        Path(name).write_text(text)
        return name

    return write
