import json

import pytest

from train.kubric.assets import USER, archive_folder, find_assets, terms_of
from train.kubric.plan import RenderSettings


@pytest.fixture
def packages(tmp_path):
    """Folders like those of bpy and pybullet_data."""
    world, urdfs = tmp_path / "data" / "studiolights" / "world", tmp_path / "bullet" / "random_urdfs" / "001"
    for folder, names in (
        (world, ("forest.exr", "city.exr", "night.exr", "license.txt")),
        (urdfs, ("001.obj",)),
    ):
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).touch()
    (tmp_path / "bullet" / "duck.obj").touch()
    return tmp_path / "data", tmp_path / "bullet"


def test_what_the_packages_offer(packages):
    found = find_assets(RenderSettings(), *packages)
    # Only what is free: the duck beside the random objects is somebody's.
    assert [path.rpartition("/")[2] for path in found.meshes] == ["001.obj"]
    assert [path.rpartition("/")[2] for path in found.hdris] == ["city.exr", "forest.exr"]
    assert found.textures == found.kubric == ()


def test_folders_of_the_user(packages, tmp_path):
    (tmp_path / "own" / "deep").mkdir(parents=True)
    for name in ("b.JPG", "deep/a.png", "deep/c.stl", "deep/readme.txt"):
        (tmp_path / "own" / name).touch()
    found = find_assets(RenderSettings(textures=tmp_path / "own", meshes=tmp_path / "own"), *packages)
    assert [path.rpartition("own/")[2] for path in found.textures] == ["b.JPG", "deep/a.png"]
    assert [path.rpartition("own/")[2] for path in found.meshes] == ["deep/c.stl"]


def test_kubrics_manifest(packages, tmp_path):
    thing = {"asset_type": "FileBasedObject"}
    manifest = tmp_path / "GSO.json"
    manifest.write_text(
        json.dumps({"assets": {"shoe": thing, "cup": thing, "dome": thing, "x": {"asset_type": "Texture"}}})
    )
    found = find_assets(RenderSettings(manifests=(manifest,)), *packages)
    assert found.kubric == ((str(manifest), "cup"), (str(manifest), "shoe"))


def test_what_is_missing_is_named(packages, tmp_path):
    with pytest.raises(FileNotFoundError, match="--textures: expected files ending in .jpg"):
        find_assets(RenderSettings(textures=packages[1]), *packages)
    with pytest.raises(FileNotFoundError, match=r"expected a Kubric manifest like GSO.json at .*none.json"):
        find_assets(RenderSettings(manifests=(tmp_path / "none.json",)), *packages)


def test_terms():
    assert terms_of("mesh:/env/pybullet_data/random_urdfs/1.obj", "/env/pybullet_data").startswith("zlib")
    assert terms_of("mesh:/home/me/cup.obj", "/env/pybullet_data") == USER
    assert terms_of("kubric:/gso/GSO.json:cup", "") == "Kubric's GSO; see its manifest"
    assert "made by the generator" in terms_of("creature", "")


def test_archives_are_found_beside_a_manifest_that_names_the_bucket(tmp_path):
    manifest, said = tmp_path / "GSO.json", {"assets": {}, "data_dir": "gs://kubric-public/assets/GSO"}
    manifest.write_text(json.dumps(said))
    with pytest.raises(FileNotFoundError, match=r"expected its archives .* found none"):
        archive_folder(manifest)
    (tmp_path / "cup.tar.gz").touch()
    assert archive_folder(manifest) == tmp_path
    for name in ("GSO", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cup.tar.gz").touch()
    assert archive_folder(manifest) == tmp_path / "GSO"
    manifest.write_text(json.dumps(said | {"data_dir": "elsewhere"}))
    assert archive_folder(manifest) == tmp_path / "elsewhere"
