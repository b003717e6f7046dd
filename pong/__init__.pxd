"""What `cimport pong` gives: the C functions of include/pong.h under their own names. The kernel is in `pong.kernel`.

Fetch the table once, at the top of a module: ``cdef const pong_api* api = pong_import()``.
"""
from pong._capi cimport (
    PONG_API_VERSION, PONG_CLOSED, PONG_EMPTY, PONG_INVALID, PONG_OK, PONG_STALE, PONG_TIME_DEVICE,
    PONG_TIME_MONOTONIC, PONG_TIME_NOT_SET, PONG_TIME_STREAM, pong_api, pong_block, pong_buffer, pong_end, pong_format,
    pong_import, pong_process,
)
