"""The real-time path: structs and free functions, without the GIL and without any Python object.

A function whose name ends in ``_rt`` may run on an audio thread: it is wait-free and bounded, and makes no
system call but the flag-gated wake-up.
"""
