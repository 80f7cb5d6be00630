"""Metrics of one measured setting, computed afterwards from its stored ids and times."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RECALL_AT", "score"]

RECALL_AT = (1, 10, 100)


def score(
    ids: NDArray[np.int64],
    distances: NDArray[np.float32],
    true_ids: NDArray[np.int64],
    true_distances: NDArray[np.float32],
    times_ns: NDArray[np.int64],
) -> dict[str, Any]:
    """Recall@1, @10, @100 as far as k allows, recall@k, and latency percentiles in microseconds.

    A found neighbour as near as the k-th true one counts as a hit. Latencies are of the fastest repetition.

    Args:
        ids: (Q, k) found, -1 where fewer were found. distances: (Q, k), inf there.
        true_ids, true_distances: (Q, >= k).
        times_ns: (repetitions, Q), or (0, Q) where only batches were timed.
    """
    from fastcbir.metrics import recall_at_k

    k = ids.shape[1]
    metrics: dict[str, Any] = {}
    for at in sorted({*(at for at in RECALL_AT if at <= k), k}):
        per_query = recall_at_k(ids, true_ids, at, found_distances=distances, true_distances=true_distances)
        metrics[f"recall@{at}"] = float(np.mean(per_query))
        if at == k:
            metrics["recall"] = metrics[f"recall@{at}"]
            metrics["recall_worst_percent"] = float(np.quantile(per_query, 0.01))
    if len(times_ns):
        fastest = times_ns[np.argmin(times_ns.sum(axis=1))] / 1e3
        for percent in (50, 95, 99):
            metrics[f"p{percent}_us"] = float(np.percentile(fastest, percent))
    return metrics
