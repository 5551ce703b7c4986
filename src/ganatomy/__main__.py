"""python -m ganatomy: the command line."""

import sys

from ganatomy.cli import main

sys.exit(main())
