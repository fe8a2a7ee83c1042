"""Training tasks: matching, tracking, remembering, segmenting, distilling."""
