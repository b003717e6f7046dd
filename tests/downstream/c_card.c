/* A sound card in plain C: a thread that never meets Python is the sender of a pong link.
 *
 *     card = c_card.open(sender)
 *     c_card.start(card, callbacks, waits, finishes)
 *     result, sent, lost = c_card.join(card, hold_gil)
 *     c_card.close(card)
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pthread.h>

#include "card.h"

static const pong_api *pong;

typedef struct {
    pong_end *end;
    pthread_t thread;
    unsigned long long callbacks; /* to do */
    int waits;                    /* for a free buffer; otherwise what finds none is lost */
    int finishes;
    int result;
    uint64_t n;                   /* callbacks done */
    uint64_t position;
    uint64_t gap;
    uint64_t sent;
    uint64_t lost;
} card;

/* One callback, as an audio library would make it. */
static int callback(card *c) {
    uint32_t frames = card_frames(pong->format_rt(c->end), c->n);
    pong_buffer buffer;
    int result = pong->acquire_rt(c->end, &buffer);
    if (result == PONG_OK) {
        card_fill(&buffer, c->n, frames, c->position, c->gap);
        result = pong->send_rt(c->end, &buffer);
        if (result == PONG_OK) {
            c->gap = 0;
            c->sent++;
        } else {
            pong->release_rt(c->end, &buffer);
        }
    } else if (result == PONG_EMPTY && c->waits) {
        return result;
    }
    if (result != PONG_OK) {
        c->gap += frames;
        c->lost += frames;
    }
    c->position += frames;
    c->n++;
    return result;
}

static void *run(void *argument) {
    card *c = argument;
    c->result = PONG_OK;
    while (c->callbacks && c->result != PONG_CLOSED) {
        c->result = callback(c);
        if (c->result == PONG_EMPTY && c->waits) {
            c->result = pong->wait(c->end, 60);
            if (c->result == PONG_EMPTY) break;
        } else {
            c->callbacks--;
        }
    }
    if (c->finishes) pong->finish_rt(c->end);
    return NULL;
}

static card *card_of(PyObject *capsule) {
    return PyCapsule_GetPointer(capsule, "c_card");
}

static PyObject *card_open(PyObject *module, PyObject *sender) {
    card *c = calloc(1, sizeof *c);
    (void)module;
    if (c == NULL) return PyErr_NoMemory();
    c->end = pong->open_sender(sender, 1);
    if (c->end == NULL) {
        free(c);
        return NULL;
    }
    return PyCapsule_New(c, "c_card", NULL);
}

static PyObject *card_start(PyObject *module, PyObject *args) {
    PyObject *capsule;
    unsigned long long callbacks;
    int waits, finishes, error;
    card *c;
    (void)module;
    if (!PyArg_ParseTuple(args, "OKpp", &capsule, &callbacks, &waits, &finishes)) return NULL;
    c = card_of(capsule);
    if (c == NULL) return NULL;
    c->callbacks = callbacks;
    c->waits = waits;
    c->finishes = finishes;
    error = pthread_create(&c->thread, NULL, run, c);
    if (error) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

static PyObject *card_join(PyObject *module, PyObject *args) {
    PyObject *capsule;
    int hold_gil;
    card *c;
    (void)module;
    if (!PyArg_ParseTuple(args, "Op", &capsule, &hold_gil)) return NULL;
    c = card_of(capsule);
    if (c == NULL) return NULL;
    if (hold_gil) {
        pthread_join(c->thread, NULL);
    } else {
        Py_BEGIN_ALLOW_THREADS
        pthread_join(c->thread, NULL);
        Py_END_ALLOW_THREADS
    }
    return Py_BuildValue("iKK", c->result, (unsigned long long)c->sent, (unsigned long long)c->lost);
}

static PyObject *card_close(PyObject *module, PyObject *capsule) {
    card *c = card_of(capsule);
    (void)module;
    if (c == NULL) return NULL;
    pong->close(c->end);
    c->end = NULL;
    Py_RETURN_NONE;
}

/* Fail after an end was opened, as a function does whose next step is refused. */
static PyObject *card_fail(PyObject *module, PyObject *sender) {
    pong_end *end = pong->open_sender(sender, 1);
    (void)module;
    if (end == NULL) return NULL;
    PyErr_SetString(PyExc_KeyError, "the next step");
    pong->close(end);
    return NULL;
}

static PyObject *card_import(PyObject *module, PyObject *ignored) {
    (void)module;
    (void)ignored;
    if (pong_import() == NULL) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"open", card_open, METH_O, "Be the sender of a pong.Sender's link."},
    {"start", card_start, METH_VARARGS, "Start a thread that does some callbacks."},
    {"join", card_join, METH_VARARGS, "Wait for the thread; return its last result, blocks sent and frames lost."},
    {"close", card_close, METH_O, "Close the end."},
    {"fail", card_fail, METH_O, "Open, fail, close."},
    {"import_pong", card_import, METH_NOARGS, "Import the table anew."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "c_card", "A sound card in plain C.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_c_card(void) {
    pong = pong_import();
    return pong == NULL ? NULL : PyModule_Create(&definition);
}
