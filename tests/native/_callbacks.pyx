"""Calls a native callback as a library would, on a thread that may make no system call, or whose calls are counted."""
from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #include <linux/seccomp.h>
    #include <pthread.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/prctl.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    typedef int (*callback_t)(const void *, void *, unsigned long, const double *, unsigned long, void *);
    typedef struct {
        callback_t call;
        void *state;
        const void *heard;
        unsigned long frames;
        uint64_t number, done;
        int sealed;
    } task_t;

    /* In strict mode all but read, write, exit and sigreturn kill the thread (seccomp(2)): it ends by the bare system
     * call, for the C library would give its memory back. */
    static void *task_run(void *argument) {
        task_t *t = argument;
        double time[3] = {0, 0, 0};
        if (t->sealed && prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
            return NULL;
        for (uint64_t i = 0; i < t->number; i++) {
            t->call(t->heard, NULL, t->frames, time, 0, t->state);
            __atomic_store_n(&t->done, i + 1, __ATOMIC_RELEASE);
        }
        if (t->sealed)
            syscall(SYS_exit, 0);
        return NULL;
    }

    static uint64_t task_do(task_t *t) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, task_run, t))
            return 0;
        pthread_join(thread, NULL);
        return t->done;
    }
    """
    ctypedef struct task_t:
        void* call
        void* state
        const void* heard
        unsigned long frames
        uint64_t number
        uint64_t done
        int sealed
    uint64_t task_do(task_t* t) nogil


def call(size_t function, size_t state, const float[:, ::1] heard, uint64_t number, bint sealed):
    """Call a PaStreamCallback on a thread of its own; return how often it came back.

    Parameters
    ----------
    function, state : int
        Addresses of the callback and of what it is called with.
    heard : ndarray
        What each callback delivers, shape (frames, channels).
    number : int
        How many callbacks.
    sealed : bool
        Kill the thread at its first system call.
    """
    cdef task_t task
    task.call = <void*>function
    task.state = <void*>state
    task.heard = &heard[0, 0]
    task.frames = heard.shape[0]
    task.number = number
    task.done = 0
    task.sealed = sealed
    with nogil:
        task_do(&task)
    return task.done


ctypedef int (*portaudio_callback)(
    const void* heard, void* sounded, unsigned long number, const double* time, unsigned long flags, void* state
) noexcept nogil


def once(size_t function, size_t state, heard, sounded, unsigned long frames, double time=0, unsigned long flags=0):
    """Call a PaStreamCallback once, in this thread; return what it returns: 0 to go on, 1 when all is over.

    Parameters
    ----------
    function, state : int
        Addresses of the callback and of what it is called with.
    heard, sounded : ndarray or None
        The device's memory.
    frames : int
        How many.
    time : float
        When the first of them was heard, or will be played, in seconds; 0 is not known.
    flags : int
        PaStreamCallbackFlags.
    """
    cdef double times[3]
    cdef size_t heard_at = 0 if heard is None else heard.ctypes.data
    cdef size_t sounded_at = 0 if sounded is None else sounded.ctypes.data
    cdef int result
    times[0] = times[2] = time
    times[1] = 0
    with nogil:
        result = (<portaudio_callback>function)(
            <void*>heard_at, <void*>sounded_at, frames, times, flags, <void*>state
        )
    return result
