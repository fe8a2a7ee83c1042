"""The neural layers that all models are built from."""
