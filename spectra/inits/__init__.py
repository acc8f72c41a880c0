"""Initialisations as people write them: names, gains, and what they are in σ_w and σ_b."""

from .gains import GAINS as GAINS
from .gains import calculate_gain as calculate_gain
from .translation import INITS as INITS
from .translation import Scales as Scales
from .translation import scales as scales
