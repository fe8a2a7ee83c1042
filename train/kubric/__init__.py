"""Training clips rendered with Kubric and Blender, with exact tracks; docs/train/kubric.md says how to use it.

The modules that import bpy (patches, scene, materials, layers, tracks, worker) run in the environment that
`make kubric-env` builds, because Blender from pip needs Python 3.11 and numpy 1. The rest needs only numpy and Pillow.
"""
