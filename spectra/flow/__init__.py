"""Variances forward and backward, predicted and sampled; inputs; unit-variance rescaling."""

from .inputs import Inputs as Inputs
from .predicted import Flow as Flow
from .predicted import flow as flow
