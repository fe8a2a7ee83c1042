"""Puts the help texts of all commands onto the page reference/commands.md, as they are when the site is built."""

from __future__ import annotations

import contextlib
import io

from pointtrack.cli import main as cli
from pointtrack.cli import registry


def on_page_markdown(markdown: str, page, **_: object) -> str:
    """Hook of mkdocs."""
    if page.file.src_uri != "reference/commands.md":
        return markdown
    return markdown + "".join(
        f"\n## {name}\n\n```\n{help_of(name)}\n```\n"
        for name in (*registry.commands(), *registry.CHECKOUT_ABOUT)
    )


def help_of(name: str) -> str:
    """What `pointtrack NAME --help` prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        cli.main([*name.split(), "--help"])
    return printed.getvalue().strip()
