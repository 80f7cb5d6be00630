"""Learning when to stop: from queries whose answers are known to searches that go as far as a recall needs.

`Index.fit_stop` is the door. Steps: trace searches that go further than any will (`fit`), read off their
traces what each rule would have found at which cost (`curves`), and write that down for the core, which
decides (`model`).
"""

from __future__ import annotations

from fastcbir.stop.report import Measured, RecallReport, RecallRow

__all__ = ["Measured", "RecallReport", "RecallRow"]
