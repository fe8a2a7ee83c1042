"""Training clips rendered with Kubric and Blender, with exact tracks; docs/train/kubric.md says how to use it.

What imports bpy (patches, scene, materials, layers, tracks, worker) runs in the environment that `make kubric-env`
builds, because Blender from pip wants Python 3.11 and numpy 1. The rest needs nothing but numpy and Pillow.
"""
