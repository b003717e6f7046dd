/* The signal source of the scenario `callback`: a JACK client that plays the numbers of its own frames, and notes when.

   Frame n has the value 1/2 + n / 2^24, modulo 1/2 and in each channel: float32 holds it exactly, and none is silence.
   Of each cycle the file named on the command line gets the server's frame clock and CLOCK_MONOTONIC, so that of who
   heard a frame it is known what it missed and how late it was. Ends when its standard input does.

   It declares what it needs of libjack, so that no headers have to be installed. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef struct client client;
typedef struct port port;
client *jack_client_open(const char *name, int options, int *status, ...);
port *jack_port_register(client *c, const char *name, const char *type, unsigned long flags, unsigned long size);
void *jack_port_get_buffer(port *p, uint32_t frames);
uint32_t jack_last_frame_time(const client *c);
int jack_set_process_callback(client *c, int (*function)(uint32_t frames, void *state), void *state);
int jack_activate(client *c);
int jack_client_close(client *c);

enum { NO_START_SERVER = 1, IS_OUTPUT = 2, CHANNELS = 2, MOST = 1 << 20 }; /* MOST cycles: three quarters of an hour */

struct journal {
    uint64_t cycles; /* written last */
    uint64_t period;
    struct {
        uint64_t clock; /* frames */
        uint64_t time;  /* nanoseconds */
    } cycle[MOST];
};

static client *self;
static port *out[CHANNELS];
static struct journal *journal;

static int process(uint32_t frames, void *state)
{
    uint64_t number = journal->cycles;
    struct timespec now;
    (void)state;
    if (number == MOST) /* nothing more is heard, which whoever listens takes for the end */
        return 1;
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (int c = 0; c < CHANNELS; c++) {
        float *samples = jack_port_get_buffer(out[c], frames);
        for (uint32_t i = 0; i < frames; i++)
            samples[i] = (float)(0x800000 | ((number * frames + i) & 0x7fffff)) * 0x1p-24f;
    }
    journal->period = frames;
    journal->cycle[number].clock = jack_last_frame_time(self);
    journal->cycle[number].time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    __atomic_store_n(&journal->cycles, number + 1, __ATOMIC_RELEASE);
    return 0;
}

int main(int count, char **words)
{
    int file = count == 2 ? open(words[1], O_RDWR | O_CREAT, 0600) : -1;
    char byte;
    if (file < 0 || ftruncate(file, sizeof *journal))
        return 1;
    journal = mmap(NULL, sizeof *journal, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (journal == MAP_FAILED)
        return 2;
    self = jack_client_open("ramp", NO_START_SERVER, NULL);
    if (self == NULL)
        return 3;
    for (int c = 0; c < CHANNELS; c++) {
        out[c] = jack_port_register(self, c ? "out_2" : "out_1", "32 bit float mono audio", IS_OUTPUT, 0);
        if (out[c] == NULL)
            return 4;
    }
    if (jack_set_process_callback(self, process, NULL) || jack_activate(self))
        return 5;
    puts("ready");
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
    return jack_client_close(self);
}
