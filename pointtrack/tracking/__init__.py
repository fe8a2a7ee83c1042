"""Points through frames: the stream of windows, queries, support points, cuts, smoothing."""
