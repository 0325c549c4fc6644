"""`python -m lookharder` is the command `lookharder`."""

import sys

from lookharder.cli import main

sys.exit(main())
