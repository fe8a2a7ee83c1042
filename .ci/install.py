"""Install packages into the environment that runs this: `python .ci/install.py PIP_INSTALL_ARGUMENTS`.

uv resolves and unpacks what the tests need in a sixth of the time that pip takes, so it is used where it can be had,
with the settings that this machine gave to pip (index, folders of wheels, constraints, certificates). Where it cannot be
had, or does not succeed, pip installs; its words are then the last ones, as people know them.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
# pip's settings that name other places to install from, and uv's variables of the same meaning.
SAME_IN_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "constraint": "UV_CONSTRAINT",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
}
SEVERAL_BY_COMMA = {"UV_FIND_LINKS"}  # the other variables with several values take blanks


def pip_settings() -> str:
    """What `pip config list` says: a line `section.name='value'` per setting, from files and from PIP_ variables."""
    return subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=True).stdout


def as_uv_variables(settings: str) -> dict[str, str] | None:
    """Translate the output of `pip config list`; None where it says what uv cannot be told by variables.

    Settings of other commands than `install` do not count.
    """
    found: dict[str, dict[str, str]] = {}
    for section, name, value in re.findall(r"^([\w:]+)\.([\w-]+)=(['\"].*['\"])$", settings, re.MULTILINE):
        found.setdefault(section, {})[name] = ast.literal_eval(value)
    variables = {}
    # Later ones win, as in pip.
    for section in ("global", "install", ":env:"):
        for name, value in found.get(section, {}).items():
            if name == "no-index":
                return None
            if variable := SAME_IN_UV.get(name):
                separator = "," if variable in SEVERAL_BY_COMMA else " "
                variables[variable] = separator.join(value.split())
    return variables


def find_uv() -> str | None:
    """uv of this machine, or else of this environment, where pip puts it if it can; None where it cannot."""
    folder = os.path.dirname(sys.executable)
    uv = shutil.which("uv") or shutil.which("uv", path=folder)
    if uv is None:
        subprocess.run([*PIP, "install", "--retries", "2", "uv"], capture_output=True, check=False)
        uv = shutil.which("uv", path=folder)
    return uv


def main(arguments: list[str]) -> int:
    """Exit status of the installer that had the last word."""
    quiet = [] if {"-v", "-vv"} & set(arguments) else ["-q"]
    variables = as_uv_variables(pip_settings())
    if variables is not None and (uv := find_uv()):
        # As pip does, the newest version counts wherever it is found, not the first place that knows the package.
        command = [uv, "pip", "install", "--python", sys.executable, "--index-strategy", "unsafe-best-match"]
        environment = {**variables, **os.environ}
        if not subprocess.run([*command, *quiet, *arguments], env=environment, check=False).returncode:
            return 0
        print("uv did not succeed; pip tries the same", file=sys.stderr)
    return subprocess.run([*PIP, "install", "--retries", "2", *quiet * 2, *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
