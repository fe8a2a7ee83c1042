"""Tracks of points, measured."""
