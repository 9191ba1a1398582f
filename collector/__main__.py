"""``python -m collector`` is the command ``pixsim-collector``."""

import sys

from collector.cli import main

sys.exit(main())
