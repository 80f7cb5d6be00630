"""`python -m fastcbir.cli`: the command without its entry point on the PATH."""

import sys

from fastcbir.cli import main

if __name__ == "__main__":
    sys.exit(main())
