"""The folder or prefix OUT that a batch writes to; every file appears there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pointtrack.io.atomic import atomic_path
from pointtrack.io.outputs import check_outputs
from pointtrack.io.storage import check_store, filesystem, local_path, upload


class Output:
    """Files by their names under OUT.

    Args:
        root: a folder, or a prefix in a store of fsspec.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = str(root).rstrip("/") or "/"
        self.folder = local_path(self.root)

    def check(self) -> None:
        """Raise ValueError or OSError, in one clear line, if nothing can be written there."""
        if self.folder is None:
            check_store(self.root)
        else:
            check_outputs([], [], folders=[self.folder])

    def url(self, name: str) -> str:
        """The path or URL of a file, for people and other programs."""
        return f"{self.root}/{name}"

    def exists(self, name: str) -> bool:
        """Whether the file is there."""
        if self.folder is not None:
            return (self.folder / name).exists()
        fs, path = filesystem(self.url(name))
        return bool(fs.exists(path))

    def names(self, under: str) -> list[str]:
        """Names of all files under a folder of OUT, sorted; none if there is no such folder."""
        if self.folder is not None:
            base = self.folder / under
            found = (Path(top) / name for top, _, files in os.walk(base) for name in files)
            return sorted(path.relative_to(self.folder).as_posix() for path in found if path.name[0] != ".")
        fs, path = filesystem(self.url(under))
        root = path[: len(path) - len(under)]
        fs.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            return sorted(name.removeprefix(root) for name in fs.find(path))
        return []

    def put(self, local: Path, name: str) -> None:
        """Copy a file, or a folder, from this machine to OUT.

        Raises:
            OSError: OUT does not take it.
        """
        if self.folder is None:
            upload(local, self.url(name))
            return
        files = [local] if local.is_file() else sorted(item for item in local.rglob("*") if item.is_file())
        for file in files:
            to = self.folder / name
            to = to if local.is_file() else to / file.relative_to(local)
            with (
                atomic_path(to, durable=local.is_file()) as part,
                file.open("rb") as source,
                part.open("wb") as target,
            ):
                while block := source.read(1 << 20):
                    target.write(block)

    def write(self, name: str, content: bytes) -> None:
        """Write a small file."""
        with tempfile.TemporaryDirectory(prefix="pointtrack-") as folder:
            part = Path(folder) / "content"
            part.write_bytes(content)
            self.put(part, name)

    def create(self, name: str, content: bytes) -> bool:
        """Write a small file that must not exist yet; if it does, do nothing and return False."""
        if self.folder is not None:
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.{os.getpid()}.part")
            part.write_bytes(content)
            try:
                os.link(part, target)
            except FileExistsError:
                return False
            except OSError:  # a file system without links
                if target.exists():
                    return False
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
            return True
        fs, path = filesystem(self.url(name))
        try:
            fs.pipe_file(path, content, mode="create")
        except FileExistsError:
            return False
        except (NotImplementedError, TypeError, ValueError):  # a store without "only if new"
            if fs.exists(path):
                return False
            fs.pipe_file(path, content)
        return True

    def read(self, name: str) -> bytes:
        """The content of a file. Raises FileNotFoundError."""
        if self.folder is not None:
            return (self.folder / name).read_bytes()
        fs, path = filesystem(self.url(name))
        return bytes(fs.cat_file(path))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        if self.folder is not None:
            (self.folder / name).unlink(missing_ok=True)
            return
        fs, path = filesystem(self.url(name))
        with contextlib.suppress(FileNotFoundError):
            fs.rm_file(path)

    @contextmanager
    def lock(self, part: tuple[int, int]) -> Iterator[None]:
        """Lock out other drivers of the same shard, or of everything; the system frees the lock when this process ends.

        Stores, and some file systems, have no locks. The worst case there is that work is done twice.

        Raises:
            ValueError: another driver works there.
        """
        if self.folder is None or os.name != "posix":
            yield
            return
        import fcntl

        wanted = [(".lock", fcntl.LOCK_EX if part == (0, 1) else fcntl.LOCK_SH)]
        wanted += [] if part == (0, 1) else [(f".lock-{part[0]}-{part[1]}", fcntl.LOCK_EX)]
        with contextlib.ExitStack() as stack:
            for name, kind in wanted:
                self.folder.mkdir(parents=True, exist_ok=True)
                file: Any = stack.enter_context((self.folder / name).open("a"))
                try:
                    fcntl.flock(file, kind | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise ValueError(
                        f"{self.root}: expected no other driver at work here, but found one; divide the videos "
                        "with --shard i/n, or wait"
                    ) from error
                except OSError:
                    continue
            yield
