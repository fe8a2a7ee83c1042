"""Programs in processes of their own that start in no time: copies of a process that has imported torch and no more."""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

# Nothing of pointtrack is in it: what an import brings along can be seen in a copy as in any new process.
ORIGINAL = """
import json, os, sys
import cv2, numpy, torch

requests, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
for line in requests:
    request = json.loads(line)
    process = os.fork()
    if process:
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        print(status, file=replies, flush=True)
        continue
    requests.close()
    replies.close()
    for number, name in enumerate(request["files"]):
        os.dup2(os.open(name, os.O_RDWR if number else os.O_RDONLY), number)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = ["-c", *request["arguments"]]
    break
else:
    sys.exit()
if request["module"]:
    import runpy
    runpy.run_module(request["program"], run_name="__main__", alter_sys=True)
else:
    exec(compile(request["program"], "<string>", "exec"), {"__name__": "__main__"})
"""


@functools.cache
def _original() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", ORIGINAL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    atexit.register(process.kill)
    return process


def run_program(
    program: str,
    *arguments: Any,
    module: bool = False,
    env: Mapping[str, str] | None = None,
    stdin: Path | str = os.devnull,
    cwd: Path = ROOT,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """As `python -c program arguments`, or `python -m` where it is a module; `stdin` is the name of a file or a pipe."""
    words = [str(argument) for argument in arguments]
    if sys.platform != "linux":
        command = [sys.executable, "-m" if module else "-c", program, *words]
        with open(stdin, "rb") as read:
            return subprocess.run(
                command, stdin=read, capture_output=True, text=True, env=env, cwd=cwd, timeout=timeout
            )
    original = _original()
    assert original.stdin is not None and original.stdout is not None
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder) / name for name in ("stdout", "stderr")]
        for path in said:
            path.touch()
        request = {
            "program": program, "arguments": words, "module": module, "env": dict(os.environ if env is None else env),
            "files": [str(stdin), *map(str, said)], "cwd": str(cwd),
        }  # fmt: skip
        print(json.dumps(request), file=original.stdin, flush=True)
        if not select.select([original.stdout], [], [], timeout)[0]:
            original.kill()
            _original.cache_clear()
            raise subprocess.TimeoutExpired(program, timeout)
        status = int(original.stdout.readline())
        return subprocess.CompletedProcess([program, *words], status, *(path.read_text() for path in said))
