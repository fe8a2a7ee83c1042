"""What became of a point: seen, hidden, out of frame or lost, and where it is found again."""
