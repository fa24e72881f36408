"""`python -m rgflow.cli`: the same command where the script `rgflow` is not on the path."""

import sys

from rgflow.cli.application import main

__all__: list[str] = []

sys.exit(main())
