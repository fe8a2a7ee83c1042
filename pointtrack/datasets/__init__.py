"""One format for clips with true tracks and masks: read, write, check, and convert from published sets.

docs/train/data-format.md describes the files.
"""
