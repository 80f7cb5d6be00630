"""What all tests share: Ctrl-C works in them, even where they were started in the background; and models that
the user has added are not seen."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

# A shell without job control starts background commands with SIGINT ignored, and what is ignored stays so in
# every program they start: the tests of Ctrl-C would wait for an interrupt that can't come.
signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ["FASTCBIR_MODELS"] = str(Path(tempfile.gettempdir()) / "fastcbir-tests-have-no-models")
