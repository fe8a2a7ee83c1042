"""Points through frames: the stream of windows, query points, helpers, cuts, smoothing."""
