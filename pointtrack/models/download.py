"""Downloads a file from the Hugging Face hub. A later call resumes an interrupted download."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlparse
from urllib.request import Request, urlopen

from tqdm import tqdm

from pointtrack.models.pins import pinned_revision
from pointtrack.models.weight_files import check_sha256

BLOCK = 1 << 16
TRIES = 5  # in a row without a byte
TIMEOUT = 30  # seconds without a byte


def fill_cache(repo: str, filename: str, repo_type: str = "model") -> None:
    """Download a file into the hub's cache, where `hub.fetch` then finds it; shows progress on stderr.

    The hub's own library starts over after every failure. This function keeps the bytes it has received in a file
    beside the final place in the cache. If the hub does not answer, or does not identify the file, this does nothing:
    `hub.fetch` then reports what is wrong.

    Args:
        repo, filename, repo_type: as for `hub.fetch`.

    Raises:
        ConnectionError: the connection broke again and again; call this once more to resume.
        ValueError: the downloaded file is not the one that the hub named.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import build_hf_headers

    try:
        about = get_hf_file_metadata(
            hf_hub_url(repo, filename, repo_type=repo_type, revision=pinned_revision(repo))
        )
    except Exception:  # many kinds; `hub.fetch` asks again and tells them apart
        return
    if not about.etag or not about.size or not about.location:
        return
    blobs = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type=repo_type) / "blobs"
    done, part = blobs / about.etag, blobs / f"{about.etag}.part"
    if done.exists():
        return
    blobs.mkdir(parents=True, exist_ok=True)
    same_host = urlparse(about.location).netloc == urlparse(constants.ENDPOINT).netloc
    headers = dict(build_hf_headers()) if same_host else {}  # the login must not go to another host
    _complete(about.location, part, about.size, headers, filename)
    if re.fullmatch("[0-9a-f]{64}", about.etag):  # the hub names large files by their SHA-256
        try:
            check_sha256(part, about.etag)
        except ValueError:
            part.unlink()
            raise
    os.replace(part, done)


def _complete(url: str, part: Path, size: int, headers: dict[str, str], what: str) -> None:
    """Download the bytes that the file still lacks."""
    failed = 0
    have = part.stat().st_size if part.exists() else 0
    if have > size:
        part.unlink()
        have = 0
    with tqdm(total=size, initial=have, unit="B", unit_scale=True, desc=what) as bar, part.open("ab") as file:
        while have < size:
            before = have
            try:
                request = Request(url, headers={**headers, "Range": f"bytes={have}-"})
                with urlopen(request, timeout=TIMEOUT) as answer:
                    if have and answer.status != 206:  # a server without range requests starts over
                        file.truncate(0)
                        bar.update(-have)
                        have = 0
                    while block := answer.read1(min(BLOCK, size - have)):
                        file.write(block)
                        have += len(block)
                        bar.update(len(block))
            except (URLError, OSError) as error:
                reason: object = error
            else:
                reason = "the server hung up"
            file.flush()
            failed = failed + 1 if have == before else 0
            if failed == TRIES:
                raise ConnectionError(
                    f"{what}: {have} of {size} bytes are here, then the download failed ({reason}); "
                    "call it again to resume from there"
                )
