"""`python -m pointtrack` is the command `pointtrack`."""

import sys

from pointtrack.cli.main import main

sys.exit(main())
