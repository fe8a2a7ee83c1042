"""Tracks points of a Points layer through the images of napari; corrections by dragging."""
