"""What the figures depend on: the machine, its load, and the versions of everything that takes part."""

import datetime
import os
import platform
import shutil
import subprocess
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["describe", "facts", "versions"]

PATIENCE = 30  # seconds for a program to tell its version
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def facts():
    """Return the facts, as ``{name: text}``."""
    from pong import _arena

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": str(datetime.date.today()),
        "cpu": processor(),
        "cores": str(usable),
        "governor": GOVERNOR.read_text().strip() if GOVERNOR.exists() else "not told",
        "load": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "not told",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": of_package("numpy"),
        "cython": of_package("cython"),
        "compiler": compiler(),
        "pong": of_package("pong") + (" (debug build)" if _arena.balance() else ""),
    }


def describe(found):
    """Return the facts in one line."""
    return (
        f"{found['cpu']}, {found['cores']} cores, governor {found['governor']}, load {found['load']}; "
        f"{found['system']}; {found['python']}, numpy {found['numpy']}, cython {found['cython']}, {found['compiler']}, "
        f"pong {found['pong']}; {found['date']}"
    )


def versions(needs):
    """Return ``{package: version}`` of the contenders' packages that are installed.

    Parameters
    ----------
    needs : dict
        Lists of packages for ``"pip"``, ``"apt"`` and ``"npm"``.
    """
    found = {bare(name): of_package(bare(name)) for name in needs.get("pip", ())}
    found.update((name, of_debian(name)) for name in needs.get("apt", ()))
    return {name: text for name, text in found.items() if text != ABSENT}


ABSENT = "not installed"


def bare(requirement):
    """Return the name in ``"package>=1.0"``."""
    return requirement.split(";")[0].split("[")[0].rstrip("0123456789.*=<>!~, ")


def of_package(name):
    """Return the version of a Python package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ABSENT


def of_debian(name):
    """Return the version of a Debian package."""
    said = output("dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", name)
    status, _, text = said.partition(" ")
    return text if status == "installed" else ABSENT


def compiler():
    """Return the first line of what the C compiler says of itself; contenders are built with it."""
    name = (sysconfig.get_config_var("CC") or "cc").split()[0]
    return (output(name, "--version").splitlines() or ["no compiler"])[0]


def processor():
    """Return the model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def output(program, *arguments):
    """Return what a program prints; nothing where it is not there, or fails."""
    if shutil.which(program) is None:
        return ""
    try:
        return subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=True
        ).stdout.strip()
    except (subprocess.SubprocessError, OSError):
        return ""
