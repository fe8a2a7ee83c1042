"""Neural layers that every model is built from."""
