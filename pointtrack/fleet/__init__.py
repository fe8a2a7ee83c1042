"""Batches: `batch` tracks a folder, a manifest or a bucket of videos, on one machine, in shards or on a Ray cluster."""

from pointtrack.fleet.options import JobOptions, RunOptions
from pointtrack.fleet.run import BatchResult, batch, plan
from pointtrack.fleet.status import read_ledger, status

__all__ = ["BatchResult", "JobOptions", "RunOptions", "batch", "plan", "read_ledger", "status"]
