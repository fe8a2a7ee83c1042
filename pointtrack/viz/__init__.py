"""Draws tracks, masks and motion."""
