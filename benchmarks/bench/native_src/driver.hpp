/* The loops that time every contender of the native hand-over, and the check that each must pass.
 *
 * A contender is a class for one link with its pool and its return path:
 *
 *     struct Buffer;                             what a thread holds
 *     Contender(uint32_t slots, size_t bytes);   pong's are made by Cython instead
 *     bool acquire(Buffer &);                    on the sender's side: a free slot; false: none now
 *     bool send(Buffer &);                       false: it cannot, which is a defect: there is room for all slots
 *     bool recv(Buffer &);                       on the receiver's side: the next block; false: none now
 *     bool release(Buffer &);                    false: it cannot, which is a defect
 *     unsigned char *samples(const Buffer &);
 *
 * Nobody pauses while polling.
 */
#ifndef PONG_BENCH_DRIVER_HPP
#define PONG_BENCH_DRIVER_HPP

#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

enum Way : uint32_t {
    ONE_CORE,   /* acquire, send, recv, release in one thread */
    TWO_CORES,  /* a thread that acquires and sends, one that receives and releases */
    PACED,      /* the same, one block in each period; the sender's side is timed */
    SENDER_ONLY /* acquire and send alone, watched: what is asked of the allocator, of locks and of the system */
};

enum Fill : uint32_t {
    NO_FILL,
    WORDS, /* the sender writes every word, the receiver adds all of them up */
    PROOF  /* the receiver compares every word with what its place in the order demands */
};

/* What to do; bench/native_build.py has the same struct. */
struct Job {
    uint32_t way;
    uint32_t fill;
    int32_t cores[2];
    uint64_t bytes;  /* of one block */
    uint64_t warm;   /* blocks of each link before the clock starts */
    uint64_t blocks; /* blocks of each link after that */
    uint64_t period; /* PACED: nanoseconds from one block to the next */
    uint64_t *times; /* PACED: what acquire and send took, for each block */
    void (*count)(uint64_t *calls); /* SENDER_ONLY: reads the calling thread's counters, two; or nullptr */
    uint32_t sealed;                /* SENDER_ONLY: the thread is killed at its first system call */
    uint32_t failed;                /* out: a move was refused, or a side was silent for too long */
    uint64_t elapsed;               /* out: nanoseconds */
    uint64_t faults;                /* out: blocks that were not what they had to be */
    uint64_t done;                  /* out: SENDER_ONLY: blocks that were sent, the warm ones included */
    uint64_t calls[2];              /* out: SENDER_ONLY: what `count` counted */
};

/* In a loop that is timed every contender is inlined as a whole, however big the compiler finds it. */
#define FLAT __attribute__((flatten, noinline))

static inline uint64_t now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return uint64_t(t.tv_sec) * 1000000000u + uint64_t(t.tv_nsec);
}

/* Ends a wait that only a defect makes long, and with it the other side's. */
class Patience {
    static constexpr uint64_t LIMIT = 5000000000u;
    uint32_t looks = 0;
    uint64_t until = 0;

public:
    bool over(Job &job) {
        if (++looks & 1023)
            return false;
        uint64_t at = now();
        if (!until)
            until = at + LIMIT;
        if (at > until)
            __atomic_store_n(&job.failed, 1, __ATOMIC_RELAXED);
        return __atomic_load_n(&job.failed, __ATOMIC_RELAXED);
    }
};

static inline bool refuse(Job &job) {
    __atomic_store_n(&job.failed, 1, __ATOMIC_RELAXED);
    return false;
}

template <class C> bool await_slot(C &link, typename C::Buffer &buffer, Job &job) {
    Patience patience;
    while (!link.acquire(buffer))
        if (patience.over(job))
            return false;
    return true;
}

template <class C> bool await_block(C &link, typename C::Buffer &buffer, Job &job) {
    Patience patience;
    while (!link.recv(buffer))
        if (patience.over(job))
            return false;
    return true;
}

/* The words of a block follow from its number. A number is spread over the word, so that neighbours differ in all. */
static inline uint32_t first_word(uint64_t number) { return uint32_t(number * 0x9e3779b1u); }

template <Fill F> void fill(unsigned char *samples, size_t bytes, uint64_t number) {
    if (F == NO_FILL)
        return;
    uint32_t *word = reinterpret_cast<uint32_t *>(samples), first = first_word(number);
    for (size_t i = 0; i < bytes / 4; i++)
        word[i] = first + uint32_t(i);
}

template <Fill F> bool holds(const unsigned char *samples, size_t bytes, uint64_t number) {
    const uint32_t *word = reinterpret_cast<const uint32_t *>(samples), first = first_word(number);
    const uint64_t n = bytes / 4;
    if (F == WORDS) {
        uint32_t sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += word[i];
        return sum == uint32_t(n * first + n * (n - 1) / 2);
    }
    if (F == PROOF)
        for (size_t i = 0; i < n; i++)
            if (word[i] != first + uint32_t(i))
                return false;
    return true;
}

template <class C, Fill F> bool put(C &link, uint64_t number, Job &job) {
    typename C::Buffer buffer;
    if (!await_slot(link, buffer, job))
        return false;
    if (F != NO_FILL)
        fill<F>(link.samples(buffer), job.bytes, number);
    return link.send(buffer) || refuse(job);
}

template <class C, Fill F> bool get(C &link, uint64_t number, Job &job) {
    typename C::Buffer buffer;
    if (!await_block(link, buffer, job))
        return false;
    if (F != NO_FILL)
        job.faults += !holds<F>(link.samples(buffer), job.bytes, number);
    return link.release(buffer) || refuse(job);
}

/* All links of one contender: as many as there are streams at once. */
template <class C> struct Links {
    std::vector<std::unique_ptr<C>> link;
};

template <class C> struct Round {
    Links<C> &links;
    Job &job;
    uint32_t ready = 0;
    uint64_t end = 0;

    uint64_t last() const { return job.warm + job.blocks; }

    template <Fill F> FLAT bool put_all(uint64_t from, uint64_t to) {
        for (uint64_t number = from; number < to; number++)
            for (auto &link : links.link)
                if (!put<C, F>(*link, number, job))
                    return false;
        return true;
    }

    template <Fill F> FLAT bool get_all(uint64_t from, uint64_t to) {
        for (uint64_t number = from; number < to; number++)
            for (auto &link : links.link)
                if (!get<C, F>(*link, number, job))
                    return false;
        return true;
    }

    template <Fill F> FLAT bool cycle_all(uint64_t from, uint64_t to) {
        for (uint64_t number = from; number < to; number++)
            for (auto &link : links.link)
                if (!put<C, F>(*link, number, job) || !get<C, F>(*link, number, job))
                    return false;
        return true;
    }

    template <Fill F> bool one_core() {
        if (!cycle_all<F>(0, job.warm))
            return false;
        uint64_t begin = now();
        bool well = cycle_all<F>(job.warm, last());
        job.elapsed = now() - begin;
        return well;
    }

    FLAT bool put_paced() {
        typename C::Buffer buffer;
        C &link = *links.link[0];
        uint64_t due = now() + job.period, number = 0;
        Patience patience;
        while (number < last()) {
            uint64_t begin, end;
            while ((begin = now()) < due) {
            }
            /* An audio thread does not wait for a free slot: it tries again when its next block is due. */
            if (link.acquire(buffer)) {
                if (!link.send(buffer))
                    return refuse(job);
                end = now();
                if (number >= job.warm)
                    job.times[number - job.warm] = end - begin;
                number++;
            } else if (patience.over(job)) {
                return false;
            }
            due = begin - due > job.period ? begin + job.period : due + job.period;
        }
        return true;
    }

    template <Fill F> void lead() {
        meet();
        if (job.way == PACED) {
            put_paced();
        } else if (put_all<F>(0, job.warm)) {
            job.elapsed = now();
            put_all<F>(job.warm, last());
        }
    }

    template <Fill F> void follow() {
        meet();
        if (get_all<F>(0, last()))
            end = now();
    }

    /* Both threads are there, on their cores, before the first block moves. */
    void meet() {
        Patience patience;
        __atomic_add_fetch(&ready, 1, __ATOMIC_ACQ_REL);
        while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < 2)
            if (patience.over(job))
                return;
    }

    bool put_some(uint64_t number) {
        typename C::Buffer buffer;
        for (uint64_t i = 0; i < number; i++) {
            if (!links.link[0]->acquire(buffer) || !links.link[0]->send(buffer))
                return refuse(job);
            __atomic_store_n(&job.done, job.done + 1, __ATOMIC_RELEASE);
        }
        return true;
    }

    /* The first blocks are not watched: a thread that enters a library may be given variables of its own there.
     *
     * In strict mode all but read, write, exit and sigreturn kill the thread (seccomp(2)), which therefore ends by
     * the bare system call: the C library would give its memory back. */
    void watched() {
        uint64_t before[2] = {0, 0}, after[2] = {0, 0};
        if (!put_some(job.warm))
            return;
        if (job.count)
            job.count(before);
        if (job.sealed && prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)) {
            refuse(job);
            return;
        }
        put_some(job.blocks);
        if (job.sealed)
            syscall(SYS_exit, 0);
        if (job.count)
            job.count(after);
        for (int i = 0; i < 2; i++)
            job.calls[i] = after[i] - before[i];
    }
};

template <class C> struct Task {
    Round<C> *round;
    void (*run)(Round<C> &);
    int32_t core;
};

template <class C> void *task_run(void *argument) {
    auto *task = static_cast<Task<C> *>(argument);
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(task->core, &set);
    /* Where that is refused it goes where the system puts it. */
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    task->run(*task->round);
    return nullptr;
}

template <class C, Fill F> void run_filled(Links<C> &links, Job &job) {
    Round<C> round{links, job};
    Task<C> tasks[2] = {{&round, nullptr, job.cores[0]}, {&round, nullptr, job.cores[1]}};
    pthread_t threads[2];
    int number = 2, started = 0;
    if (job.way == ONE_CORE || job.way == SENDER_ONLY) {
        number = 1;
        if (job.way == ONE_CORE)
            tasks[0].run = [](Round<C> &r) { r.template one_core<F>(); };
        else
            tasks[0].run = [](Round<C> &r) { r.watched(); };
    } else {
        tasks[0].run = [](Round<C> &r) { r.template lead<F>(); };
        tasks[1].run = [](Round<C> &r) { r.template follow<F>(); };
    }
    while (started < number && pthread_create(&threads[started], nullptr, task_run<C>, &tasks[started]) == 0)
        started++;
    if (started < number)
        refuse(job);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], nullptr);
    if (number == 2)
        job.elapsed = round.end - job.elapsed;
    /* A thread that was killed may have left anything behind. */
    if (job.way == SENDER_ONLY && job.done == round.last())
        round.template get_all<F>(0, round.last());
}

template <class C> void run(Links<C> &links, Job &job) {
    switch (job.fill) {
    case NO_FILL: return run_filled<C, NO_FILL>(links, job);
    case WORDS: return run_filled<C, WORDS>(links, job);
    default: return run_filled<C, PROOF>(links, job);
    }
}

#define EXPORTED __attribute__((visibility("default")))

/* What Python calls. `open` answers nullptr where the contender cannot be made, whatever it throws. */
#define PONG_BENCH_RUN(NAME, C)                                                                                       \
    extern "C" EXPORTED void NAME(void *links, Job *job) { run(*static_cast<Links<C> *>(links), *job); }

#define PONG_BENCH_CONTENDER(C)                                                                                       \
    PONG_BENCH_RUN(contender_run, C)                                                                                  \
    extern "C" EXPORTED void *contender_open(uint32_t slots, uint64_t bytes, uint32_t streams) try {                  \
        auto links = std::make_unique<Links<C>>();                                                                    \
        while (streams--)                                                                                             \
            links->link.push_back(std::make_unique<C>(slots, size_t(bytes)));                                         \
        return links.release();                                                                                       \
    } catch (...) {                                                                                                   \
        return nullptr;                                                                                               \
    }                                                                                                                 \
    extern "C" EXPORTED void contender_close(void *links) { delete static_cast<Links<C> *>(links); }

#endif
