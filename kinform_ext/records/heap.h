/* The heap of the C library, whose free memory goes back to the system on request. */
#ifndef KINFORM_HEAP_H
#define KINFORM_HEAP_H

#include <stdlib.h> /* defines __GLIBC__: other C libraries have no malloc_trim */
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* Returns the free memory of the heap to the system. */
static inline void kr_heap_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

#endif
