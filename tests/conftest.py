"""What all tests share: Ctrl-C works in them, even where they were started in the background."""

from __future__ import annotations

import signal

# A shell without job control starts background commands with SIGINT ignored, and what is ignored stays so in
# every program they start: the tests of Ctrl-C would wait for an interrupt that can't come.
signal.signal(signal.SIGINT, signal.default_int_handler)
