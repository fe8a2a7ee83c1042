"""Training clips of things in space, rendered by casting rays: the plans of train/kubric, without Blender.

Lighting is simple (a sky from above, a sun with shadows, highlights), so a clip takes far less time than with path
tracing. Motion, bending, occlusion and tracks are the same.
"""
