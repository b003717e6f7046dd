"""Builds the native loops against the declarations and headers of the installed pong."""

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path

SOURCE = Path(__file__).with_name("native") / "_bench.pyx"


def build(folder):
    """Compile ``native/_bench.pyx`` with the flags of a release into a folder, and import it.

    Parameters
    ----------
    folder : pathlib.Path
        Where the C file and the extension go.

    Returns
    -------
    module
    """
    import numpy as np

    import pong

    installed = Path(pong.__file__).parent.parent
    generated = folder / "_bench.c"
    extension = folder / f"_bench{sysconfig.get_config_var('EXT_SUFFIX')}"
    flags = [word for name in ("CC", "CFLAGS", "CCSHARED") for word in (sysconfig.get_config_var(name) or "").split()]
    headers = [sysconfig.get_path("include"), np.get_include(), pong.get_include(), installed]
    run([sys.executable, "-m", "cython", "-3", f"-I{installed}", "-o", generated, SOURCE], folder)
    run([*flags, "-O3", "-shared", *(f"-I{path}" for path in headers), "-o", extension, generated], folder)
    spec = importlib.util.spec_from_file_location("_bench", extension)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(command, folder):
    """Run a command, and show what it said if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
