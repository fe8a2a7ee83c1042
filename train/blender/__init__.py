"""Clips rendered with Blender from pip (bpy), with exact point tracks; needs its own environment."""
