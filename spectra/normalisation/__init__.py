"""Normalisation: of a batch, of the features of one example; its exact Jacobian, and how gradients grow with it."""

from __future__ import annotations

from .features import batch_norm as batch_norm
from .features import batch_norm_jacobian as batch_norm_jacobian
from .features import layer_norm as layer_norm
from .features import layer_norm_jacobian as layer_norm_jacobian
from .features import rms_norm as rms_norm
from .features import rms_norm_jacobian as rms_norm_jacobian
