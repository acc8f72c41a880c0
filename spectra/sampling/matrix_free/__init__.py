"""Spectra of JJᵀ from products with J and Jᵀ alone, for widths whose matrices do not fit, or take too long."""

from .cost import expected as expected
from .estimate import Estimate as Estimate
from .run import estimate as estimate
from .run import jacobian as jacobian
from .run import sample as sample
