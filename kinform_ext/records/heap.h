/* The heap of the C library, whose free memory goes back to the system on request. */
#ifndef KINFORM_HEAP_H
#define KINFORM_HEAP_H

#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#define KR_HEAP_BLOCK_BYTES ((size_t)96 << 10) /* malloc maps larger blocks separately */
#define KR_HEAP_BLOCKS 64                      /* together they exceed the free memory of the heap */

/* Returns the free memory of the heap to the system. malloc_trim skips what is free at the end of a thread's arena,
 * which is most of it. So a block is allocated at the very end first. Then all free memory lies between used blocks. */
static inline void kr_heap_trim(void)
{
#ifdef __GLIBC__
    void *volatile blocks[KR_HEAP_BLOCKS]; /* volatile, or the compiler removes malloc and free */
    int i;
    for (i = 0; i < KR_HEAP_BLOCKS; i++)
        blocks[i] = malloc(KR_HEAP_BLOCK_BYTES);
    for (i = 0; i < KR_HEAP_BLOCKS - 1; i++)
        free(blocks[i]);
    malloc_trim(0);
    free(blocks[i]);
#endif
}

#endif
