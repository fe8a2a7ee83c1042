"""What is learnt: matching, tracking, segmenting."""
