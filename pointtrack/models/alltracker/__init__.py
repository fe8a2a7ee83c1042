"""AllTracker: dense flow from one anchor frame to every frame of a window."""
