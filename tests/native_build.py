"""Builds the native extensions of the tests against the installed package, once for each session.

``PONG_BUILD`` chooses compiler flags and directives as in setup.py, from where they are taken.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILT = tempfile.TemporaryDirectory(prefix="pong-native-")


def setting(name: str) -> dict:
    """Return a constant of setup.py, which cannot be imported without building."""
    tree = ast.parse((HERE.parent / "setup.py").read_text(encoding="utf-8"))
    assignments = [node for node in tree.body if isinstance(node, ast.Assign)]
    return next(ast.literal_eval(node.value) for node in assignments if ast.unparse(node.targets[0]) == name)


def compile_into(folder: str) -> None:
    """Compile tests/native/*.pyx; run in a process of its own, away from sanitizers and warning filters."""
    import numpy
    from Cython.Build import cythonize
    from setuptools import Extension, setup

    # Not imported: a sanitized build could not be, in this process.
    pong = importlib.util.find_spec("pong")
    assert pong is not None, "install pong first"
    assert pong.origin is not None
    compile_args, link_args = setting("BUILDS")[os.environ.get("PONG_BUILD", "release")]
    package = Path(pong.origin).parent
    include = [str(package.parent), str(package / "include"), str(HERE / "native"), numpy.get_include()]
    extensions = [
        Extension(
            source.stem,
            [str(source)],
            include_dirs=include,
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
            extra_compile_args=compile_args,
            extra_link_args=link_args,
        )
        for source in sorted((HERE / "native").glob("*.pyx"))
    ]
    os.chdir(folder)
    setup(
        name="pong-native-tests",
        ext_modules=cythonize(
            extensions,
            include_path=include,
            compiler_directives=setting("DIRECTIVES"),
            build_dir="cython",
        ),
        script_args=["-q", "build_ext", "--build-lib", folder, "--build-temp", "objects"],
    )


@functools.cache
def native_folder() -> str:
    """Return the folder of the built extensions; it goes with the process."""
    env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    done = subprocess.run(
        [sys.executable, os.path.abspath(__file__), BUILT.name], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return BUILT.name


def load(name: str):
    """Return an extension module; built now, unless ci/sanitize has already put it into the path."""
    if importlib.util.find_spec(name) is None:
        sys.path.append(native_folder())
    return importlib.import_module(name)


if __name__ == "__main__":
    compile_into(sys.argv[1])
