"""Files in and out: videos, tracks, masks, query points, and the logs that long runs write."""
