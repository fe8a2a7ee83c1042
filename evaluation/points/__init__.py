"""Measures tracks of points."""
