"""Benchmarks of fastcbir beside its peers: recall against speed. Start: `pytest benchmarks/ --smoke`."""
