/* The heap of the coder: lets an allocation fail, counts the bytes that are allocated, and guards blocks.
 *
 * Include this before the headers of the coder. Their calls of malloc, calloc and realloc then go through it.
 */
#ifndef HEAP_H
#define HEAP_H

#include <stdlib.h>
#include <string.h>

/* Functions of the runtime, whose headers are not always installed. */
size_t __sanitizer_get_current_allocated_bytes(void);
void __asan_poison_memory_region(void const volatile *at, size_t size);
void __asan_unpoison_memory_region(void const volatile *at, size_t size);

enum { HEAP_GUARD = 64, HEAP_GUARD_BYTE = 0x5a };

static long heap_left = -1; /* allocations until one fails; -1: none fails */

static int heap_fails(void)
{
    return heap_left >= 0 && heap_left-- == 0;
}

static void *heap_malloc(size_t size)
{
    return heap_fails() ? NULL : malloc(size);
}

static void *heap_calloc(size_t count, size_t size)
{
    return heap_fails() ? NULL : calloc(count, size);
}

static void *heap_realloc(void *block, size_t size)
{
    return heap_fails() ? NULL : realloc(block, size);
}

/* Returns the bytes in use in the whole process. */
static size_t heap_bytes(void)
{
    return __sanitizer_get_current_allocated_bytes();
}

/* Allocates a block with a guard behind it, which is neither read nor written. The sanitizer sees what was compiled
 * with it; heap_unguard also sees a write by a library. */
static unsigned char *heap_guarded(size_t size)
{
    unsigned char *block = (unsigned char *)malloc(size + HEAP_GUARD);
    memset(block + size, HEAP_GUARD_BYTE, HEAP_GUARD);
    __asan_poison_memory_region(block + size, HEAP_GUARD);
    return block;
}

/* Frees such a block; returns whether its guard is as it was. */
static int heap_unguard(unsigned char *block, size_t size)
{
    int is_whole = 1;
    __asan_unpoison_memory_region(block + size, HEAP_GUARD);
    for (int i = 0; i < HEAP_GUARD; i++)
        is_whole &= block[size + i] == HEAP_GUARD_BYTE;
    free(block);
    return is_whole;
}

#endif
