"""Networks: their description (`Network`), and the mean-field theory of how signals pass through them."""

from .config import LayerSpec as LayerSpec
from .config import Network as Network
