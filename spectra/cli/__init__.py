"""The command `spectra`: the only part of the package that prints."""

from .app import main as main
