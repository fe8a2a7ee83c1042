"""Pictures of tracks, masks and motion."""
