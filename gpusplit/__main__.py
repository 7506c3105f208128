"""`python -m gpusplit`."""

import sys

from gpusplit.cli import main

if __name__ == "__main__":
    sys.exit(main())
