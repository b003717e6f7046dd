"""Builds the extension modules; everything else is in pyproject.toml.

``PONG_BUILD`` chooses the build: ``release`` (the default), ``debug`` (invariants checked, books kept), ``cover``
(line coverage by gcov), ``tsan`` (thread sanitizer) or ``asan`` (address and undefined-behaviour sanitizers).
"""

import os
import sys
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

BUILDS = {
    "release": (["-O3", "-g0"], []),
    "debug": (["-O1", "-g", "-DPONG_DEBUG=1"], []),
    "cover": (["-O0", "-g", "--coverage", "-fprofile-update=atomic"], ["--coverage"]),
    "tsan": (["-O1", "-g", "-fsanitize=thread", "-DPONG_DEBUG=1"], ["-fsanitize=thread"]),
    "asan": (
        ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-DPONG_DEBUG=1"],
        ["-fsanitize=address,undefined"],
    ),
}

# In one place, for every module.
DIRECTIVES = {
    "language_level": 3,
    # Plain method descriptors, which the interpreter calls with the least overhead; signatures for `inspect`.
    "binding": False,
    "embedsignature": True,
    "embedsignature.format": "clinic",
    "cdivision": True,
    "auto_pickle": False,
    "freethreading_compatible": True,
}

build = os.environ.get("PONG_BUILD", "release")
if build not in BUILDS:
    sys.exit(f"PONG_BUILD must be one of {', '.join(BUILDS)}, not {build!r}")
compile_args, link_args = BUILDS[build] if os.name != "nt" else ([], [])

# Relative to this folder, whatever folder the build is started from.
os.chdir(Path(__file__).resolve().parent)
sources = sorted([*Path("pong").glob("_*.pyx"), *Path("pong/streams").glob("*.pyx")])
extensions = [
    Extension(
        ".".join(source.with_suffix("").parts),
        [str(source)],
        include_dirs=[".", "pong/include", numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        depends=[str(header) for header in sorted(Path("pong").rglob("*.h"))],
    )
    for source in sources
]
jobs = os.cpu_count() or 1
# pip asks twice for metadata before it builds, and an sdist holds no generated code: only a build needs C.
if not {"egg_info", "dist_info", "sdist"} & set(sys.argv[1:]):
    extensions = cythonize(
        extensions,
        nthreads=jobs,
        force=True,  # a change of the directives or of the build leaves no older code behind
        compiler_directives=DIRECTIVES,
        build_dir=f"build/cython-{build}",
    )

setup(
    ext_modules=extensions,
    options={"build_ext": {"parallel": jobs}},
)
