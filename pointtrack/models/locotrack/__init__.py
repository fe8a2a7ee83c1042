"""LocoTrack: whole clips, each point on its own, no windows."""
