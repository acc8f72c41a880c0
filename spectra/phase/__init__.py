"""The phase diagram and the edge of chaos."""
