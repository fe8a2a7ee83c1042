"""Trackers as ONNX graphs; `export.py` writes them, `runtime.py` tracks with them."""
