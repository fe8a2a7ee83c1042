"""Training clips: the type of a batch, and the sources of batches."""
