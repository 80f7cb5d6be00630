"""The demo: altered views of real photographs, searched for among the photographs, and how often that
succeeds.

    gallery.py   the photographs, and tiles of them that lead astray
    views.py     what is done to a photograph to make a query of it
    evaluate.py  every query searched for, judged and timed
    page.py      the result as a page to look at
    run.py       one after the other

Needs the extra "demo".
"""

from fastcbir.demo.run import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
