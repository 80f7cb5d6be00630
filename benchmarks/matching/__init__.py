"""What local matching is worth: retrieval, geometry and speed; `python -m benchmarks.matching`."""
