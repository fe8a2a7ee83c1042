"""Renders clips with exact point tracks in Blender from pip (bpy); needs its own environment."""
