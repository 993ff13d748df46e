/* Pseudo-random numbers, and the end of a test that fails.
 *
 * All numbers follow from the seed, so a run with the same arguments repeats each step. A failure names the step, and
 * never shows bytes of an object.
 * Source: SplitMix64.
 */
#ifndef CHANCE_H
#define CHANCE_H

#include <ctype.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static struct {
    uint64_t seed;     /* argument of the program */
    uint64_t state;    /* of the generator */
    uint64_t step;     /* number of the current step */
    const char *label; /* what the step does */
} chance;

static uint64_t draw(void)
{
    uint64_t z = chance.state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Returns a number below `end`, which is not 0. */
static size_t below(size_t end)
{
    return (size_t)(draw() % end);
}

/* Returns true once in `n` calls. */
static int once_in(size_t n)
{
    return below(n) == 0;
}

/* Returns a number of random size: 0 to 2**bits - 1, small ones as often as large ones. */
static uint64_t draw_bits(unsigned bits)
{
    unsigned size = (unsigned)below(bits + 1);
    return size ? draw() >> (64 - size) : 0;
}

/* Prints the seed, the step and a reason, and ends the process. */
__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *reason, ...)
{
    va_list arguments;
    va_start(arguments, reason);
    fprintf(stderr, "FAILED: seed %llu, step %llu (%s): ", (unsigned long long)chance.seed,
            (unsigned long long)chance.step, chance.label);
    vfprintf(stderr, reason, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    fflush(NULL);
    _exit(1);
}

#define CHECK(condition)                                                                                              \
    do                                                                                                                \
        if (!(condition))                                                                                             \
            fail("%s:%d: %s", __FILE__, __LINE__, #condition);                                                        \
    while (0)

#endif
