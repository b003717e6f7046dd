/* The arena, byte by byte. Offsets and slot numbers inside, never pointers, so that it may be mapped
 * anywhere and by several processes. Sizes are fixed; one writer for each 128-byte line (two 64-byte cache
 * lines: adjacent-line prefetchers fetch pairs) except where a comment names several.
 *
 * Invariants, cited by number in the code that relies on them and in the tests that fail without them:
 *
 * I1 Only a slot's owner writes its header and samples; ownership is the owner word.
 * I2 Nothing can reach a slot's memory through a handle, or its `samples`, once it has been given away.
 * I3 free + owned + in a ring + pinned = slots, whenever nobody is in the middle of a move.
 * I4 A ring never holds more entries than there are slots.
 * I5 A slot is taken from the free set only when no Python object can reach its memory.
 * I6 Lost frames are counted exactly once, in the gap of the next delivered buffer (a loss at the very
 *    end: in the stream's meter at stop).
 *
 * ABI: a change of any struct or meaning here raises PONG_ABI.
 */
#ifndef PONG_LAYOUT_H
#define PONG_LAYOUT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#ifndef PONG_DEBUG
#define PONG_DEBUG 0
#endif

#define PONG_MAGIC 0x31676e6f70a5c0deu
#define PONG_ABI 3
#define PONG_LINE 128
#define PONG_MAX_SLOTS 1024   /* of the pool; as many overflow slots again */
#define PONG_MAX_LINKS 1024
#define PONG_WORDS 32         /* 64-bit words for 2 * PONG_MAX_SLOTS bits */
#define PONG_BUCKETS 320      /* log-linear: 8 for each power of two, up to 2^41 ns (36 minutes) */

/* Owner word: generation << 16 | holder << 4 | state. A wiped word (0) belongs to nobody. */
#define PONG_FREE 1           /* in the free set, or about to be; the holder is who released it */
#define PONG_OWNED 2
#define PONG_QUEUED 3         /* in the ring of link `holder` */
#define PONG_ACQUIRER 0xfff   /* as holder: the side that acquires; any other is a link */

/* Bits of pong_link.closed */
#define PONG_SENDER_CLOSED 1
#define PONG_RECEIVER_CLOSED 2
#define PONG_IDLE 4           /* nobody holds an end any more: the link may be opened again */

/* Bits of pong_slot.flags */
#define PONG_HAS_MESSAGE 1

#define PONG_NO_SEQ UINT64_MAX

/* The debug build stops where an invariant does not hold; elsewhere this is nothing. */
#if PONG_DEBUG
#include <stdio.h>
#include <stdlib.h>
#define PONG_CHECK(holds, what)                                                                    \
    ((holds) ? (void)0 : (fprintf(stderr, "pong: invariant broken: %s\n", what), abort()))
#else
#define PONG_CHECK(holds, what) ((void)0)
#endif

typedef struct {              /* written once, before anybody else can see it */
    uint64_t magic;
    uint32_t abi;
    uint32_t shared;
    uint64_t size;
    uint64_t stride;          /* bytes between samples of neighbouring slots */
    uint64_t overflow_stride; /* whole pages, so that each overflow slot can be given back */
    uint64_t frame_bytes;
    uint32_t count;
    uint32_t overflow;
    uint32_t slots;           /* count + overflow */
    uint32_t blocksize;
    uint32_t max_links;
    uint32_t ring_bits;       /* a ring has 1 << ring_bits entries */
    uint32_t ring_stride;     /* entries between the beginnings of two rings: whole lines */
    uint32_t timed;           /* time stamps and histograms on */
    uint32_t stagger;         /* bytes from a page boundary to the first sample */
    uint32_t plane;           /* samples from one channel's plane to the next in a slot; 0: interleaved frames */
    uint32_t unused[8];
    double samplerate;        /* frames per second; 0: not known */
} pong_header;

typedef struct {              /* written by the acquiring side alone */
    uint64_t mask[PONG_WORDS];
    uint64_t filled;          /* words of mask that are not 0 */
    uint64_t acquired;        /* counters since the pool began */
    uint64_t overflowed;
    uint64_t exhausted;
    uint64_t unused[12];
} pong_acquirer;

typedef struct {              /* written by every releasing side, with fetch_or, and cleared by the acquirer */
    uint64_t word[PONG_WORDS];
    uint64_t summary;         /* words that are not 0, or were a moment ago */
    uint64_t unused[15];
} pong_returned;

typedef struct {              /* event count of the acquirers, and what every side reads */
    uint32_t event;
    uint32_t closed;
    uint32_t bound;           /* the acquiring side is a native stream, not Python */
    uint32_t unused[29];
} pong_control;

typedef struct {              /* written by the slot's owner (I1); pins by whoever drops a lease */
    uint64_t owner;
    uint64_t where;           /* ring position it was sent to: recovery, and proof for the receiver */
    uint64_t seq;
    uint64_t position;
    uint64_t gap;
    double time;
    uint32_t frames;
    uint32_t pins;
    uint32_t status;
    uint16_t time_source;
    uint16_t flags;
    int64_t tag;              /* from here the second cache line: a bare transfer never touches it */
    uint64_t acquired_at;
    uint64_t sent_at;
    uint64_t released_at;
    uint64_t unused[4];
} pong_slot;

typedef struct {
    struct {                  /* written by the sender */
        uint64_t head;        /* next position to write; goes on when the link is opened again */
        uint64_t sent;        /* the next seq: starts at 0 with each opening */
        uint64_t dropped;     /* blocks a native sender could not send */
        uint64_t unused[13];
    } sender;
    struct {                  /* written by the receiver */
        uint64_t tail;
        uint64_t received;
        uint64_t unused[14];
    } receiver;
    struct {                  /* written by both, seldom */
        uint32_t event;       /* event count of the receivers */
        uint32_t closed;
        int32_t fd;           /* signalled with the event; -1: none */
        uint32_t opened;      /* how often the link has been opened */
        uint32_t unused[28];
    } control;
} pong_link;

typedef struct {              /* one writer */
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t unused[13];
    uint64_t bucket[PONG_BUCKETS];
} pong_histogram;

typedef struct {              /* of this process: where the parts of one arena are */
    unsigned char *base;
    pong_header *header;
    pong_acquirer *acquirer;
    pong_returned *returned;
    pong_control *control;
    pong_slot *slots;
    pong_link *links;
    uint32_t *rings;
    pong_histogram *hold;     /* acquire to release */
    pong_histogram *latency;  /* send to receive, one for each link */
    unsigned char *samples;
    unsigned char *overflow_samples;
} pong_arena;

/* What Cython cannot say: sizes and places are checked when this is compiled. */
#define PONG_WHOLE_LINES(T) static_assert(sizeof(T) % PONG_LINE == 0, #T " must fill whole lines")
PONG_WHOLE_LINES(pong_header);
PONG_WHOLE_LINES(pong_acquirer);
PONG_WHOLE_LINES(pong_returned);
PONG_WHOLE_LINES(pong_control);
PONG_WHOLE_LINES(pong_slot);
PONG_WHOLE_LINES(pong_link);
PONG_WHOLE_LINES(pong_histogram);
static_assert(sizeof(pong_slot) == PONG_LINE, "one line for each slot header");
static_assert(offsetof(pong_slot, tag) == 64, "what a transfer touches is in the first cache line");
static_assert(offsetof(pong_link, receiver) == PONG_LINE, "sender and receiver write different lines");
static_assert(PONG_WORDS * 64 == 2 * PONG_MAX_SLOTS, "a bit for each slot");

#endif
