/* What travels with a block of samples, and a function that works on one. */
#ifndef PONG_BLOCK_H
#define PONG_BLOCK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pong_block {       /* what is known about a block of samples */
    uint64_t seq;                 /* the sender's count, from 0 without holes; UINT64_MAX: not sent yet */
    uint64_t position;            /* frames since the stream began */
    uint64_t gap;                 /* frames lost right before this block */
    double time;                  /* of the first frame, in seconds of the clock that time_source names */
    double samplerate;            /* frames per second; 0: not known */
    int64_t tag;                  /* the user's own */
    uint32_t frames;              /* valid ones */
    uint32_t channels;            /* samples in a frame */
    uint32_t status;              /* bits of PortAudio's PaStreamCallbackFlags */
    uint32_t time_source;         /* see Buffer.time_source: 0 not set, 1 monotonic, 2 stream, 3 device */
    uint64_t plane;               /* samples from one channel's plane to the next; 0: interleaved frames */
} pong_block;

/* Works in place on frames x channels samples; `user` is what was given along with the function. Sample f of channel
 * c is samples[f * channels + c] in interleaved frames, and samples[c * plane + f] where `plane` is not 0. */
typedef void (*pong_process)(void *samples, uint32_t frames, uint32_t channels, const pong_block *block, void *user);

#ifdef __cplusplus
}
#endif

#endif
