"""Training clips: what a batch is, and where batches come from."""
