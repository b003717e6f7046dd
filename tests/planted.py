"""Small source trees for the tests of the checks in ci/."""

from __future__ import annotations

from pathlib import Path

PACKAGES = {f"pong/{package}__init__.{end}": "" for package in ("", "kernel/", "streams/") for end in ("py", "pxd")}


def plant(root: Path, *trees: dict[str, str]) -> Path:
    """Write files below ``root``; a later tree's file replaces an earlier one's."""
    for path, text in {name: text for tree in trees for name, text in tree.items()}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root
