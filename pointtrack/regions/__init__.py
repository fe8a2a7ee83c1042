"""Small things in magnified crops of the full-resolution frame."""
