"""Regions: tracks small things in magnified crops of the full-resolution frame."""
