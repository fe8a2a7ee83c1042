"""LocoTrack: whole clips, every point by itself, no windows."""
