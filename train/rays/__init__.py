"""Training clips of things in space, drawn by casting rays: the plans of train/kubric, without Blender.

Light is plain (a sky from above, a sun with shadows, shine), so a clip takes far less time than by path tracing. What moves, bends and hides what is the same, and so are the tracks.
"""
