"""Local matching: which point of one photo is which point of another.

    matcher = load_matcher()
    a, b = matcher.extract("a.jpg"), matcher.extract("b.jpg")
    matches = verify(matcher.match(a, b))

Importing this needs NumPy alone; the rest is imported when a matcher is loaded.
"""

from fastcbir.match.features import LocalFeatures
from fastcbir.match.protocol import LocalExtractor, PairMatcher, SparseMatcher
from fastcbir.match.registry import MatcherCard, default_matcher, load_matcher, matchers
from fastcbir.rerank.matches import Matches
from fastcbir.rerank.verify import Verification, verify

__all__ = [
    "LocalExtractor",
    "LocalFeatures",
    "MatcherCard",
    "Matches",
    "PairMatcher",
    "SparseMatcher",
    "Verification",
    "default_matcher",
    "load_matcher",
    "matchers",
    "verify",
]
