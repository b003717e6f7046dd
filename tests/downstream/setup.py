"""Builds against the pong that is installed: its header is where it says, and Cython finds `cimport pong` by itself."""

from Cython.Build import cythonize
from setuptools import Extension, setup

import pong

C99 = ["-std=c99", "-Wall", "-Wextra", "-Werror"]


def extension(name, ending, arguments):
    """Describe one module."""
    return Extension(
        name, [name + ending], include_dirs=[pong.get_include()], extra_compile_args=["-pthread", *arguments],
        extra_link_args=["-pthread"],
    )


setup(
    py_modules=[],
    ext_modules=[
        # POSIX threads are not part of C99.
        extension("c_card", ".c", [*C99, "-D_POSIX_C_SOURCE=200809L"]),
        *cythonize([extension("cython_card", ".pyx", [])], language_level=3),
    ],
)
