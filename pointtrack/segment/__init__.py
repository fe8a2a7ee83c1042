"""Masks from prompts on single frames: the segmenters, by name."""

from pointtrack.segment.base import Candidates, Embedding, Prompt, Segmenter
from pointtrack.segment.zoo import load_segmenter

__all__ = ["Candidates", "Embedding", "Prompt", "Segmenter", "load_segmenter"]
