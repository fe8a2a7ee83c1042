"""Trackers as ONNX graphs: `export.py` writes them, `tracker.py` tracks with them."""
