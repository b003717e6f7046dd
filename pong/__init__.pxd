"""Declarations of pong for `cimport`; the kernel is in `pong.kernel`."""
