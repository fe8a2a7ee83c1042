"""`pointtrack models`: every tracker and segmenter that has a name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pointtrack.models import families
from pointtrack.models.download import fill_cache
from pointtrack.models.hub import fetch
from pointtrack.models.pins import pinned_revision
from pointtrack.models.weight_files import file_sha256
from pointtrack.segment import zoo as segmenters
from pointtrack.zoo import SHIPPED

# Purpose of each model, by the beginning of its name; the first match counts.
PURPOSES = {
    "cotracker3-offline": "points tracked jointly, whole short videos",
    "cotracker3-online": "points tracked jointly, videos of any length",
    "cotracker2": "comparison with older results",
    "locotrack": "few points, each tracked by itself; free code",
    "alltracker-tiny": "every pixel of a frame; one point costs as much as all",
    "alltracker": "the same, larger and slower",
    "sam2.1": "objects through a video, or single frames",
    "sam2": "as sam2.1, older",
    "sam3": "objects through a video; the hub asks for your consent",
    "sam-hq": "thin outlines of single frames",
    "sam-": "outlines of single frames",
    "edgetam": "objects through a video, on small devices",
}
SHIPPED_PURPOSES = {
    "small": "comes with pointtrack: any number of points, videos of any length, cameras",
    "segmenter": "comes with pointtrack: outlines that follow the points",
}


@dataclass(frozen=True)
class Row:
    """One model.

    Attributes:
        kind: "tracker" or "segmenter".
        licence: licence of the weights, in a word; terms: a sentence if a word is not enough.
        repo, repo_type, files: where the weights are on the hub; no files for a model that ships with pointtrack.
    """

    kind: str
    name: str
    licence: str
    megabytes: float | None
    repo: str
    files: tuple[str, ...] = ()
    repo_type: str = "model"
    sha256: str | None = None
    terms: str | None = None

    def path(self) -> Path | None:
        """Path of the weights on this machine; None if they are not here."""
        if not self.files:
            return Path(self.repo)
        from huggingface_hub import try_to_load_from_cache

        commit = pinned_revision(self.repo)
        found = [
            try_to_load_from_cache(self.repo, file, repo_type=self.repo_type, revision=commit)
            for file in self.files
        ]
        return Path(str(found[-1])) if all(isinstance(path, str) for path in found) else None

    def size(self) -> str:
        """Size of the weights: that of the file on this machine, or the published one, or nothing."""
        path = self.path()
        if path is not None:
            return f"{path.stat().st_size / 1e6:.1f} MB"
        return "" if self.megabytes is None else f"{self.megabytes:g} MB"

    def purpose(self) -> str:
        """What the model is for."""
        if not self.files:
            return SHIPPED_PURPOSES[self.name if self.kind == "tracker" else self.kind]
        return next((text for start, text in PURPOSES.items() if self.name.startswith(start)), "")


def rows() -> list[Row]:
    """Every named model: trackers, then segmenters; in each group those that ship with pointtrack come first."""
    from pointtrack.segment.small import SHIPPED_FILE as SMALL_SEGMENTER

    found = [Row("tracker", name, "Apache-2.0", None, str(path)) for name, path in SHIPPED.items()]
    found += [
        Row(
            "tracker", name, row.config.licence + ("*" if row.terms else ""), row.megabytes, row.repo,
            (row.filename,), row.repo_type, row.sha256, row.terms,
        )
        for name, row in families.PUBLISHED.items()
    ]  # fmt: skip
    found.append(Row("segmenter", segmenters.SHIPPED, "Apache-2.0", None, str(SMALL_SEGMENTER)))
    found += [
        Row("segmenter", name, row.licence, None, row.repo, (segmenters.CONFIG_FILE, segmenters.WEIGHTS_FILE))
        for name, row in segmenters.PUBLISHED.items()
    ]
    return found


def models(download: str | None = None) -> None:
    """List all trackers and segmenters with licence, size, source, purpose, and whether this machine has them.

    Args:
        download: name of a model to download into the cache of the Hugging Face hub, with progress. An interrupted download
            resumes where it stopped; the digest is checked if known.
    """
    table = rows()
    if download is not None:
        _download(table, download)
        return
    for kind in ("tracker", "segmenter"):
        print(f"{kind + 's':31}{'licence':16}{'size':>9}  {'here':5}{'from':36}for")
        for row in table:
            if row.kind == kind:
                here = "yes" if row.path() else "no"
                source = row.repo if row.files else "this package"
                print(f"  {row.name:29}{row.licence:16}{row.size():>9}  {here:5}{source:36}{row.purpose()}")
        print()
    for terms in dict.fromkeys(row.terms for row in table if row.terms):
        names = ", ".join(row.name for row in table if row.terms == terms)
        print(f"* {names}: {terms}")


def _download(table: list[Row], name: str) -> None:
    named = {row.name: row for row in table if row.files}
    if name not in named:
        raise ValueError(f"download: expected one of {', '.join(named)}, got {name!r}")
    row = named[name]
    for file in row.files:
        last = file == row.files[-1]
        fill_cache(row.repo, file, row.repo_type)
        path = fetch(row.repo, file, sha256=row.sha256 if last else None, repo_type=row.repo_type)
    print(f"{name}   {path}, {path.stat().st_size / 1e6:.1f} MB, SHA-256 {file_sha256(path)}")
    print(f"licence   {row.terms or row.licence}")
