"""The arena's structs, as layout.h lays them out."""
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t


cdef extern from "pong/kernel/layout.h" nogil:
    enum:
        PONG_DEBUG
        PONG_ABI
        PONG_LINE
        PONG_MAX_SLOTS
        PONG_MAX_LINKS
        PONG_WORDS
        PONG_BUCKETS
        PONG_FREE
        PONG_OWNED
        PONG_QUEUED
        PONG_ACQUIRER
        PONG_SENDER_CLOSED
        PONG_RECEIVER_CLOSED
        PONG_IDLE
        PONG_HAS_MESSAGE
    const uint64_t PONG_MAGIC
    const uint64_t PONG_NO_SEQ
    void PONG_CHECK(bint holds, const char* what) noexcept

    ctypedef struct pong_header:
        uint64_t magic
        uint32_t abi
        uint32_t shared
        uint64_t size
        uint64_t stride
        uint64_t overflow_stride
        uint64_t frame_bytes
        uint32_t count
        uint32_t overflow
        uint32_t slots
        uint32_t blocksize
        uint32_t max_links
        uint32_t ring_bits
        uint32_t ring_stride
        uint32_t timed
        uint32_t stagger
        uint32_t plane
        double samplerate

    ctypedef struct pong_acquirer:
        uint64_t* mask
        uint64_t filled
        uint64_t acquired
        uint64_t overflowed
        uint64_t exhausted

    ctypedef struct pong_returned:
        uint64_t* word
        uint64_t summary

    ctypedef struct pong_control:
        uint32_t event
        uint32_t closed
        uint32_t bound

    ctypedef struct pong_slot:
        uint64_t owner
        uint64_t where
        uint64_t seq
        uint64_t position
        uint64_t gap
        double time
        uint32_t frames
        uint32_t pins
        uint32_t status
        uint16_t time_source
        uint16_t flags
        int64_t tag
        uint64_t acquired_at
        uint64_t sent_at
        uint64_t released_at

    ctypedef struct pong_link_sender:
        uint64_t head
        uint64_t sent
        uint64_t dropped

    ctypedef struct pong_link_receiver:
        uint64_t tail
        uint64_t received

    ctypedef struct pong_link_control:
        uint32_t event
        uint32_t closed
        int32_t fd
        uint32_t opened

    ctypedef struct pong_link:
        pong_link_sender sender
        pong_link_receiver receiver
        pong_link_control control

    ctypedef struct pong_histogram:
        uint64_t count
        uint64_t sum
        uint64_t max
        uint64_t* bucket

    ctypedef struct pong_arena:
        unsigned char* base
        pong_header* header
        pong_acquirer* acquirer
        pong_returned* returned
        pong_control* control
        pong_slot* slots
        pong_link* links
        uint32_t* rings
        pong_histogram* hold
        pong_histogram* latency
        unsigned char* samples
        unsigned char* overflow_samples
