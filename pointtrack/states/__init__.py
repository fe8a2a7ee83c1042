"""States of points: visible, hidden, out of frame or lost, and where lost points are found again."""
