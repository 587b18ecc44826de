"""Found by programs that tests start: an ``edge`` of theirs finds no package that a box has not.

The packages of the box import these if they are there, for what the box never does; they are there
because tools of the tests want them.
"""

from __future__ import annotations

import sys

if sys.orig_argv[1:3] == ["-m", "edge"] or "edge.__main__" in sys.orig_argv[-1].split(","):
    sys.modules |= dict.fromkeys(("click", "requests"))  # type: ignore[arg-type]
