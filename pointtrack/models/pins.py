"""The commits to fetch from repositories of the Hugging Face hub, and the digests of their files if known.

Source: public code and notes of several independent projects that fetch the same commits. None were found for
repositories not listed here; for those the first use on this machine counts (`models/first_use.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Pin:
    """A repository at a fixed commit.

    Attributes:
        revision: full hash of the commit.
        sha256: of single files, by name.
    """

    revision: str
    sha256: dict[str, str] = field(default_factory=dict)


PINS = {
    "facebook/cotracker3": Pin(
        "bf55ea50d4390e1820a267f131cd6587240fb2c5",
        {
            "scaled_offline.pth": "2670d4562ed69326dda775a26e54883925cd11b6fc9b24cb7aa9f8078bce7834",
            "scaled_online.pth": "205d34789f19699d64b22cf93f9b697f15f28d4025240e31532e504109837218",
        },
    ),
    "aharley/alltracker": Pin(
        "c8ba31225828cab9ec512d0627f0f826e641a877",
        {"alltracker.pth": "ffd9ebcfb6d206d594b646999a150540f92c049cf9b2bf940facf7123f62aa1d"},
    ),
    "facebook/sam-vit-base": Pin("70c1a07f894ebb5b307fd9eaaee97b9dfc16068f"),
    "facebook/sam-vit-large": Pin("6851e0441005b0fb96f2cc4dfac472f3d1b14af1"),
    "facebook/sam-vit-huge": Pin("87aecf0df4ce6b30cd7de76e87673c49644bdf67"),
    "facebook/sam2.1-hiera-tiny": Pin(
        "de431c4043854a71d8101e17995dfe596bf101a5",
        {"model.safetensors": "48c14467e5cf9e51870511feb72c89688e82dd74523142c0538b663e193ac2a7"},
    ),
    "facebook/sam2.1-hiera-small": Pin("ee5bba1d82bb8749febdf90f45e84b687142ba03"),
    "facebook/sam2.1-hiera-base-plus": Pin("b7320756a13354e7530a63935656d35b2f91a290"),
    "facebook/sam2.1-hiera-large": Pin(
        "665f8e2ad61cf5f53d65644ff27c8ee525124610",
        {"model.safetensors": "dc407dce21301fd94abb395c5099b4f2c455fdc8a8f261ac3d0ea6d4cd197230"},
    ),
    "facebook/sam3": Pin("3c879f39826c281e95690f02c7821c4de09afae7"),
}


def pinned_revision(repo: str) -> str | None:
    """The commit to fetch; None for the newest one."""
    return PINS[repo].revision if repo in PINS else None


def pinned_sha256(repo: str, filename: str) -> str | None:
    """The digest of a file at that commit, if known."""
    return PINS[repo].sha256.get(filename) if repo in PINS else None
