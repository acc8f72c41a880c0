"""Activations: one symbolic definition each; values, slopes, kinks and arbitrary precision follow from it.

`get_activation` is the way in: names and aliases of the catalogue with torch's parameters, or expressions in x.
`Activation.from_callable` takes functions.
"""

from spectra.activations.activation import Activation as Activation
from spectra.activations.activation import Branch as Branch
from spectra.activations.catalogue import get_activation as get_activation
from spectra.activations.catalogue import names as names
