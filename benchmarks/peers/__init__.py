"""Adapters of other libraries; each imports its library only in the process that builds it."""
