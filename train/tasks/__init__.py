"""Training tasks: matching, tracking, segmenting, distilling."""
