"""How many digits numbers have."""

# Those of doubles; more are strings in JSON.
DOUBLE_DIGITS = 17
# More would be a slip: costs grow with the square.
MOST_DIGITS = 1000
