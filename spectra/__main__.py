"""`python -m spectra` is the command `spectra`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
