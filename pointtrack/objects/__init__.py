"""Objects through a video: masks from tracked points and from memory."""
