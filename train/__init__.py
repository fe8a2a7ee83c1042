"""Training of the models that pointtrack ships (floor 5)."""
