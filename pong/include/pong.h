/* pong for native code: send and receive blocks of a pool on a thread of your own, without Python.
 *
 * Plain C99 and C++11; nothing to link with. All functions are in one table, in the PyCapsule
 * "pong._capi.table". With Python.h included before this file, pong_import() fetches it; otherwise take the
 * capsule's pointer by whatever means the language has (PyCapsule_Import("pong._capi.table", 0)), and check
 * `version` and `size` as pong_import() does.
 *
 * A program in Python makes the pool and the link, and hands its Sender or Receiver over. Native code opens
 * it, with the GIL, and from then until close() is that end of the link: Python may not send, or receive,
 * there, and not acquire where native code does. What ends in _rt is for the audio thread: wait-free,
 * bounded, without allocation, lock or Python. The one system call is the wake-up of a receiver that sleeps.
 */
#ifndef PONG_H
#define PONG_H

#include <stddef.h>
#include <stdint.h>

#include "pong_block.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Another number: another table, which code built for this one cannot use. */
#define PONG_API_VERSION 2

/* What the functions answer. Whatever is not PONG_OK has changed nothing. */
enum {
    PONG_OK = 0,
    PONG_EMPTY = 1,   /* nothing there: no free slot, no message, or the time is up */
    PONG_CLOSED = 2,  /* the link or the pool is closed, and for a receiver nothing is left to receive */
    PONG_STALE = 3,   /* the buffer is not owned any more: it was sent or released before */
    PONG_INVALID = 4  /* a null pointer, an end of the wrong kind, another pool's buffer, metadata out of range */
};

/* pong_block.time_source */
enum {
    PONG_TIME_NOT_SET = 0,
    PONG_TIME_MONOTONIC = 1,
    PONG_TIME_STREAM = 2,
    PONG_TIME_DEVICE = 3
};

struct _object; /* Python's PyObject */

/* One end of a link, opened by native code. */
typedef struct pong_end pong_end;

/* The geometry of an end's pool. */
typedef struct pong_format {
    uint32_t count;     /* slots */
    uint32_t blocksize; /* frames in one buffer */
    uint32_t channels;
    uint32_t itemsize;  /* bytes of one sample */
    double samplerate;  /* frames per second; 0: not known */
    char dtype[16];     /* of a sample, as NumPy writes it: "<f4", "<i2", "|V3" for packed 24 bits */
    uint64_t plane;     /* samples from one channel's plane to the next; 0: interleaved frames */
} pong_format;

/* A handle that owns one slot, or nothing. Used by one thread at a time; a copy of it is the same handle, and
 * of two uses of one handle the second is PONG_STALE. Start with anything: acquire and recv fill it. */
typedef struct pong_buffer {
    void *samples;      /* frames x channels, see block.plane; NULL once it was sent or released */
    pong_block block;   /* position, gap, time, time_source, status, tag and frames may be set before a send */
    const void *pool;   /* from here on pong's own */
    uint64_t word;
    uint32_t slot;
    uint32_t limit;
} pong_buffer;

/* It grows at its end only; members of a version never change. */
typedef struct pong_api {
    uint32_t version;   /* PONG_API_VERSION */
    uint32_t size;      /* bytes of this table: what lies beyond is not there */

    /* With the GIL. */

    /* Become the sender of a pong.Sender's link; with `acquires` 1 also the acquiring side of its pool, with 0
     * only buffers that were received can be sent on. NULL with a Python exception: TypeError, ClosedError,
     * ValueError (acquires is neither), RuntimeError (native code is that already). Keeps everything alive, the
     * Sender too, until close(). Thread: any. Blocks: no. Allocates: yes. */
    pong_end *(*open_sender)(struct _object *sender, int acquires);

    /* The same for a pong.Receiver: from now on nobody can send Python objects (messages) to it, and while some
     * are queued it cannot be opened (TypeError). */
    pong_end *(*open_receiver)(struct _object *receiver);

    /* Close this end of the link, as Sender.close() and Receiver.close() do, and give back what open took. To be
     * called once, after the last other call with this pointer; NULL does nothing. Buffers that are still owned
     * would stay taken: send or release them before. An exception that is set stays set.
     * Thread: any. Blocks: no. Allocates: yes. */
    void (*close)(pong_end *end);

    /* Without the GIL, from one thread of the end's own at a time. */

    /* Take a free slot: OK, EMPTY, CLOSED. Samples are undefined, `frames` is the block size, the other metadata
     * is reset. Overflow slots are not taken. What could not be captured goes into the next block's `gap`. */
    int (*acquire_rt)(pong_end *sender, pong_buffer *buffer);

    /* Transfer to the link's receiver: OK, CLOSED (the buffer is still owned), STALE, INVALID. */
    int (*send_rt)(pong_end *sender, pong_buffer *buffer);

    /* Take the next message: OK, EMPTY, CLOSED. Its `frames` may only be lowered before it is sent on. */
    int (*recv_rt)(pong_end *receiver, pong_buffer *buffer);

    /* From any thread. */

    /* Give a buffer back to the pool; `end` may be any open end of that pool: OK, STALE, INVALID. */
    int (*release_rt)(pong_end *end, pong_buffer *buffer);

    /* Say that this end is done, before close(): the receiver gets what is queued, then the end; send is refused. */
    int (*finish_rt)(pong_end *end);

    /* 1: some end of the link or the pool is closed; what is queued can still be received. 0: it is not. */
    int (*is_closed_rt)(pong_end *end);

    /* The geometry, valid until close(); NULL for NULL. */
    const pong_format *(*format_rt)(pong_end *end);

    /* Not on the audio thread: sleep until acquire or recv is worth a try (OK), the end (CLOSED), or `seconds`,
     * from 0 to infinity, are up (EMPTY). The thread is the one that acquires or receives, without the GIL. */
    int (*wait)(pong_end *end, double seconds);
} pong_api;

#ifdef Py_PYTHON_H
/* Return the table, or NULL with an ImportError. With the GIL. */
static inline const pong_api *pong_import(void) {
    const pong_api *api = (const pong_api *)PyCapsule_Import("pong._capi.table", 0);
    if (api == NULL) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_SetString(PyExc_ImportError, "the installed pong has no table of C functions, pong._capi.table");
        }
        return NULL;
    }
    if (api->version != PONG_API_VERSION) {
        PyErr_Format(PyExc_ImportError,
                     "the installed pong has version %u of the C table, this module was built for version %u",
                     (unsigned)api->version, (unsigned)PONG_API_VERSION);
        return NULL;
    }
    if (api->size < sizeof(pong_api)) {
        PyErr_Format(PyExc_ImportError,
                     "the C table of the installed pong has %u bytes, this module was built for %u: pong is too old",
                     (unsigned)api->size, (unsigned)sizeof(pong_api));
        return NULL;
    }
    return api;
}
#endif

#ifdef __cplusplus
}
#endif

#endif
