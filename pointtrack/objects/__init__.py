"""Objects through a video: masks from tracked points (floor 4)."""
