"""Data sets to search: readers for the formats in use, a named catalogue, and two that need no download."""
