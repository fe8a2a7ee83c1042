"""Masks of objects, measured."""
