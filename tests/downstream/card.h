/* What the sound cards of this package record, so that a test can tell every sample: their format is "uint32". */
#ifndef CARD_H
#define CARD_H

#include <pong.h>

/* Frames of the n-th callback: not always a whole block. */
static inline uint32_t card_frames(const pong_format *format, uint64_t n) {
    return format->blocksize - (uint32_t)(n % 3);
}

/* Fill and stamp the block of the n-th callback. */
static inline void card_fill(pong_buffer *buffer, uint64_t n, uint32_t frames, uint64_t position, uint64_t lost) {
    uint32_t *samples = (uint32_t *)buffer->samples;
    uint32_t i;
    for (i = 0; i < frames * buffer->block.channels; i++) {
        samples[i] = (uint32_t)(position * buffer->block.channels + i);
    }
    buffer->block.frames = frames;
    buffer->block.position = position;
    buffer->block.gap = lost;
    buffer->block.time = (double)position / buffer->block.samplerate;
    buffer->block.time_source = PONG_TIME_STREAM;
    buffer->block.status = (uint32_t)(n % 32);
    buffer->block.tag = -(int64_t)n;
}

#endif
