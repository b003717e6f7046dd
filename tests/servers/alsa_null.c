/* A PortAudio callback that does nothing but count: what an ALSA device that nothing paces can do at most. */
int pong_test_empty(const void *heard, void *sounded, unsigned long frames, const void *time, unsigned long flags, void *count)
{
    (void)heard, (void)sounded, (void)frames, (void)time, (void)flags;
    ++*(volatile unsigned long long *)count;
    return 0;
}
