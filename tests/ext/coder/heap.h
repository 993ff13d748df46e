/* The heap of the coder: lets an allocation fail, and counts the bytes that are allocated.
 *
 * Include this before the headers of the coder. Their calls of malloc, calloc and realloc then go through it.
 */
#ifndef HEAP_H
#define HEAP_H

#include <stdlib.h>
#include <string.h>

size_t __sanitizer_get_current_allocated_bytes(void); /* of the runtime; its header is not always installed */

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

#endif
