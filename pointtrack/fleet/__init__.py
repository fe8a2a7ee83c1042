"""Batches: `batch` tracks the videos of a folder, a manifest or a bucket, on this machine, in shards or on a Ray cluster."""

from pointtrack.fleet.options import JobOptions, RunOptions
from pointtrack.fleet.run import BatchResult, batch, plan
from pointtrack.fleet.status import read_ledger, status

__all__ = ["BatchResult", "JobOptions", "RunOptions", "batch", "plan", "read_ledger", "status"]
