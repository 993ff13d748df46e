/* Memory mapped from the system in whole pages, zeroed, and returned to it at once when it is unmapped. */
#ifndef KINFORM_PAGES_H
#define KINFORM_PAGES_H

#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#define KR_PAGE_BYTES ((size_t)4096)

static inline size_t kr_round_to_pages(size_t n)
{
    return (n + KR_PAGE_BYTES - 1) & ~(KR_PAGE_BYTES - 1);
}

/* Maps `n` bytes; NULL if the system has no memory. Without huge pages: the first byte would make one of them resident
 * as a whole. */
static inline void *kr_map(size_t n)
{
#ifdef __SANITIZE_ADDRESS__
    return calloc(1, n);
#else
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
#ifdef MADV_NOHUGEPAGE
    madvise(p, n, MADV_NOHUGEPAGE);
#endif
    return p;
#endif
}

/* Unmaps what kr_map returned for `n` bytes; NULL is ignored. */
static inline void kr_unmap(void *p, size_t n)
{
#ifdef __SANITIZE_ADDRESS__
    (void)n;
    free(p);
#else
    if (p)
        munmap(p, n);
#endif
}

#endif
