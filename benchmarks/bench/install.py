"""Installs the contenders: from PyPI into the running environment, from Debian, from npm into a cache."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["install", "merge", "npm_folder"]

PATIENCE = 600  # seconds for each command
# The ones that build contenders, and draw.
TOOLS = {"pip": ["cython>=3.1", "matplotlib>=3.8", "setuptools"], "apt": ["gcc", "g++"]}


def npm_folder():
    """Return the folder below which npm puts ``node_modules``; it need not exist."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "pong-bench"


def merge(needs):
    """Return the needs of several scenarios as one, each package once."""
    kinds = dict.fromkeys(kind for each in needs for kind in each)
    return {kind: list(dict.fromkeys(name for each in needs for name in each.get(kind, ()))) for kind in kinds}


def install(needs, told=lambda text: None):
    """Install packages.

    Parameters
    ----------
    needs : dict
        Lists of packages for ``"pip"``, ``"apt"`` and ``"npm"``.
    told : callable, optional
        Gets a line before each step.

    Returns
    -------
    list of str
        What could not be installed, and why.
    """
    needs = merge([TOOLS, needs])
    failures = []
    # Debian first: npm comes from there, and what PyPI's packages link to.
    for kind, step in (("apt", from_debian), ("pip", from_pypi), ("npm", from_npm)):
        if needs.get(kind):
            told(f"installing by {kind}: {' '.join(needs[kind])}")
            failures += step(needs[kind])
    importlib.invalidate_caches()
    return failures


def from_debian(names):
    """Install Debian packages, as root."""
    if shutil.which("apt-get") is None:
        return ["no apt-get here: install yourself what stands for " + " ".join(names)]
    if os.geteuid() != 0:
        return [f"not root: apt-get install {' '.join(names)}"]
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120"]
    run([*apt, "update"])
    return one_by_one([*apt, "install", "-y", "--no-install-recommends"], names)


def from_pypi(names):
    """Install Python packages into the running environment."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--root-user-action", "ignore"]
    return one_by_one(pip, names)


def from_npm(names):
    """Install npm packages into the cache."""
    if shutil.which("npm") is None:
        return [f"no npm here: {' '.join(names)}"]
    folder = npm_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return one_by_one(["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(folder)], names)


def one_by_one(command, names):
    """Install all at once, or else one by one, so that one that cannot be had keeps no other away."""
    if not run([*command, *names]):
        return []
    failures = {name: run([*command, name]) for name in names}
    return [f"{name}: {reason}" for name, reason in failures.items() if reason]


def run(command):
    """Run a command; return why it failed, or nothing."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=PATIENCE, check=False,
        )
    except subprocess.TimeoutExpired:
        return f"took longer than {PATIENCE} s"
    if done.returncode == 0:
        return ""
    return (done.stdout.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
