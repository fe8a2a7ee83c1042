"""Finds the assets that scenes may use, and knows their licences."""

from __future__ import annotations

import json
from pathlib import Path

from train.kubric.plan import Assets, RenderSettings

MESH_SUFFIXES = (".obj", ".ply", ".stl", ".off", ".glb")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
OWN = "made by the generator (pointtrack's licence)"
USER = "given by the user; its own terms apply"
TERMS = {
    "hdri": "CC0 (Poly Haven, shipped with Blender)",
    "pybullet_data": "zlib (pybullet's own licence; no other beside it)",
    "monkey": "Blender's own primitive",
}


def find_assets(settings: RenderSettings, datafiles: Path, pybullet_data: Path) -> Assets:
    """Finds all assets that the settings and the two packages offer.

    Args:
        settings: settings that name the user's folders.
        datafiles: Blender's own folder, with studiolights/world inside.
        pybullet_data: the package's folder. Only its random_urdfs are used: other models there have other
            licences.

    Raises:
        FileNotFoundError: a folder or manifest in the settings is missing or empty.
    """
    meshes = sorted(str(path) for path in (pybullet_data / "random_urdfs").glob("*/*.obj"))
    if settings.meshes is not None:
        meshes = _files(settings.meshes, MESH_SUFFIXES, "meshes")
    textures = _files(settings.textures, PICTURE_SUFFIXES, "textures") if settings.textures else []
    hdris = sorted(str(path) for path in (datafiles / "studiolights" / "world").glob("*.exr"))
    # Its light alone leaves almost everything dark.
    hdris = [path for path in hdris if Path(path).stem != "night"]
    return Assets(tuple(meshes), tuple(textures), tuple(hdris), _manifest_assets(settings.manifests))


def _files(folder: Path, suffixes: tuple[str, ...], what: str) -> list[str]:
    found = sorted(str(path) for path in Path(folder).rglob("*") if path.suffix.lower() in suffixes)
    if not found:
        raise FileNotFoundError(
            f"--{what}: expected files ending in {', '.join(suffixes)} in {folder}, found none"
        )
    return found


def _manifest_assets(manifests: tuple[Path, ...]) -> tuple[tuple[str, str], ...]:
    """(manifest, asset id) of every object in Kubric's own manifests, without domes and pictures."""
    found = []
    for path in manifests:
        if not Path(path).is_file():
            raise FileNotFoundError(
                f"expected a Kubric manifest like GSO.json at {path}, found none: download it with its "
                "archives from the kubric-public bucket and give the path of the .json file"
            )
        entries = json.loads(Path(path).read_text())["assets"]
        found += [
            (str(path), name)
            for name, entry in sorted(entries.items())
            if entry["asset_type"] == "FileBasedObject" and name not in NOT_THINGS
        ]
    return tuple(found)


def archive_folder(manifest: Path) -> Path:
    """Folder of a manifest's archives: the one it names, or its own if it names the bucket it came from.

    Raises:
        FileNotFoundError: no archives, neither there nor in a folder of the manifest's name.
    """
    said = json.loads(manifest.read_text()).get("data_dir", "")
    places = [manifest.parent / manifest.stem, manifest.parent]
    if said and "://" not in said:
        places.insert(0, manifest.parent / said)
    for place in places:
        if next(place.glob("*.tar.gz"), None) is not None:
            return place
    raise FileNotFoundError(
        f"{manifest}: expected its archives <asset id>.tar.gz in {places[0]} or {places[-1]}, found none"
    )


# In KuBasic, a whole surrounding rather than a thing.
NOT_THINGS = ("dome",)


def terms_of(kind: str, pybullet_data: str) -> str:
    """The licence of a mesh ("mesh:<path>", "kubric:<manifest>:<id>") or of a shape that is made here."""
    source, _, rest = kind.partition(":")
    if source == "kubric":
        return f"Kubric's {Path(rest.rpartition(':')[0]).stem}; see its manifest"
    if source == "mesh":
        return TERMS["pybullet_data"] if rest.startswith(pybullet_data) else USER
    return TERMS.get(kind, OWN)
