"""Weights from the Hugging Face hub, through its own cache."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from urllib.parse import urlparse

from pointtrack.models.first_use import check_first_use
from pointtrack.models.pins import pinned_revision, pinned_sha256
from pointtrack.models.weight_files import check_sha256, file_sha256

log = logging.getLogger(__name__)

TIMEOUT = 5  # seconds to wait for a connection


def fetch(
    repo: str,
    filename: str,
    *,
    revision: str | None = None,
    sha256: str | None = None,
    repo_type: str = "model",
) -> Path:
    """Path of a file from a repository, downloaded unless the cache has it.

    The cache is the one that all programs using the hub share; HF_HOME, HF_HUB_CACHE, HF_ENDPOINT,
    HF_TOKEN and HF_HUB_OFFLINE work as usual. All but HF_TOKEN are read once, when huggingface_hub is
    first imported: here, at the first call, unless the program imported it before.

    Args:
        repo: "owner/name".
        filename: path of the file in the repository.
        revision: branch, tag or commit; None for the pinned commit (`models/pins.py`), or without one the main branch.
            A cached file of a full commit hash needs no connection. For a branch or tag, the hub is asked for a
            newer version; if it does not answer, the cached file is used.
        sha256: the digest that the file must have, or its beginning; None for that of the pinned commit, if known.
        repo_type: "model" or "dataset".

    Raises:
        ConnectionError: offline, or no usable answer from the hub, and the file is not in the cache.
        FileNotFoundError: no such repository, revision or file.
        PermissionError: the repository asks for a login or for consent to its terms.
        ValueError: an invalid repository name, or a file with another digest than `sha256`.
    """
    # Imported here: loading a local file need not wait for it, and environment variables can still be set.
    from huggingface_hub import hf_hub_download, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HFValidationError,
        HTTPError,  # of its HTTP library, which was requests, then httpx, then httpx2
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if revision is None:
        revision = pinned_revision(repo)
        sha256 = sha256 or pinned_sha256(repo, filename)
    at = f" at revision {revision}" if revision else ""
    what = f"{filename} of {repo}{at}"
    by_hand = (
        f"download https://huggingface.co/{'datasets/' if repo_type == 'dataset' else ''}{repo}/resolve/{revision or 'main'}/{filename} by hand "
        "and pass it as checkpoint=..."
    )
    # Most specific first: a gated repository is also "not found", a local entry also an "entry".
    try:
        cached = try_to_load_from_cache(repo, filename, revision=revision, repo_type=repo_type)
        if not isinstance(cached, str):
            _check_reachable(hf_hub_url(repo, filename, revision=revision, repo_type=repo_type))
        path = Path(hf_hub_download(repo, filename, revision=revision, repo_type=repo_type))
    except HFValidationError as error:
        raise ValueError(
            f"repository: expected a hub name like owner/name, got {repo!r} ({error})"
        ) from error
    except GatedRepoError as error:
        raise _no_access(what, repo, by_hand) from error
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"{what}: expected a public repository, the hub knows none of this name; check the name, "
            f"log in with `hf auth login` if it is private, or {by_hand}"
        ) from error
    except RevisionNotFoundError as error:
        raise FileNotFoundError(
            f"{what}: the repository has no such revision; pass another, or {by_hand}"
        ) from error
    except LocalEntryNotFoundError as error:
        if _status(error.__cause__) in (401, 403):
            raise _no_access(what, repo, by_hand) from error
        raise _no_answer(what, error.__cause__ or error, by_hand) from error
    except EntryNotFoundError as error:
        raise FileNotFoundError(f"{what}: the repository has no such file; {by_hand}") from error
    except (HTTPError, OSError, RuntimeError) as error:
        # RuntimeError: without a connection, most 1.x releases ask again through a client they have closed.
        if getattr(error, "errno", None) is not None:  # an error of the cache's disk: its message is clear
            raise
        if _status(error) in (401, 403):
            raise _no_access(what, repo, by_hand) from error
        raise _no_answer(what, error, by_hand) from error
    if sha256 is not None:
        check_sha256(path, sha256)
    else:
        check_first_use(path, f"{repo}/{filename}" + (f"@{revision}" if revision else ""))
    if log.isEnabledFor(logging.INFO):  # reading the file takes time
        log.info("%s is %s, SHA-256 %s", what, path, sha256 or file_sha256(path))
    return path


def _check_reachable(url: str) -> None:
    """Raise the error of a hub that cannot be reached; `hf_hub_download` keeps asking it for half a minute, with warnings."""
    from huggingface_hub import get_hf_file_metadata
    from huggingface_hub.errors import HTTPError

    place = urlparse(url)
    try:
        port = place.port or (80 if place.scheme == "http" else 443)
        socket.create_connection((place.hostname, port), TIMEOUT).close()
    except OSError:
        try:
            get_hf_file_metadata(url)  # once, and by way of a proxy if there is one
        except (HTTPError, OSError) as error:
            if _status(error) is None:
                raise


def _no_access(what: str, repo: str, by_hand: str) -> PermissionError:
    return PermissionError(
        f"{what}: the hub does not give access; accept the terms at https://huggingface.co/{repo}, "
        f"log in with `hf auth login` or HF_TOKEN, or {by_hand}"
    )


def _no_answer(what: str, reason: BaseException, by_hand: str) -> ConnectionError:
    from huggingface_hub.errors import OfflineModeIsEnabled

    if isinstance(reason, OfflineModeIsEnabled):
        return ConnectionError(
            f"{what}: not in the cache, and HF_HUB_OFFLINE forbids to download it; unset that, or {by_hand}"
        )
    first_line = (str(reason).strip() or type(reason).__name__).splitlines()[0]
    return ConnectionError(
        f"{what}: not in the cache, and the download failed ({first_line}); "
        f"check the connection, or {by_hand}"
    )


def _status(error: BaseException | None) -> int | None:
    """HTTP status code of the response behind an error, if there was one."""
    return getattr(getattr(error, "response", None), "status_code", None)
