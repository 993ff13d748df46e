/* Namespaces, and partitions: a partition is the set of the records of one stream in one namespace.
 *
 * Each name of a namespace is stored once. A record states its stream and namespace by one number, its partition. A
 * partition lives while its refcount is above 0, a namespace while it has a partition. Numbers of both are used again.
 */
#ifndef KINFORM_NAMESPACES_H
#define KINFORM_NAMESPACES_H

#include <stdlib.h>

#include "hash.h"
#include "record.h"

typedef struct {
    uint64_t hash;  /* of the name */
    kr_byte *at;    /* the name, malloc'd; NULL: the number is free */
    uint32_t len;   /* bytes of the name; 0: cluster-scoped objects */
    uint32_t first; /* first of its partitions */
    uint32_t next;  /* next namespace in the hash chain, or the next free number */
} kr_namespace;

typedef struct {
    uint64_t seed;      /* of the hashes of its keys */
    uint32_t refcount;  /* of its records, and of operations in progress; 0: the number is free */
    uint32_t namespace; /* or the next free number */
    uint32_t next;      /* next partition of the namespace, KR_NONE: none */
    uint32_t stream;    /* number of the stream */
} kr_partition;

typedef struct {
    uint64_t seed;               /* of all hashes; odd */
    kr_namespace *namespace;     /* by number */
    uint32_t namespaces;         /* numbers in use or free */
    uint32_t namespace_capacity; /* entries of `namespace` */
    uint32_t free_namespace;     /* first free number, KR_NONE: none */
    kr_partition *partition;     /* by number */
    uint32_t partitions;         /* numbers in use or free */
    uint32_t partition_capacity; /* entries of `partition` */
    uint32_t free_partition;     /* first free number, KR_NONE: none */
    uint32_t *chain;             /* 2**bits heads of hash chains of namespaces, KR_NONE: empty */
    uint32_t bits;               /* leading bits of a hash that choose its chain */
    uint32_t count;              /* namespaces in use; at most 2**bits, if memory allows */
    uint64_t text_bytes;         /* of their names, with the overhead of malloc */
} kr_namespaces;

static int kr_namespaces_init(kr_namespaces *p, uint64_t seed)
{
    memset(p, 0, sizeof *p);
    p->seed = seed | 1;
    p->free_namespace = p->free_partition = KR_NONE;
    p->bits = 3;
    p->chain = (uint32_t *)malloc(sizeof *p->chain << p->bits);
    if (!p->chain)
        return 0;
    memset(p->chain, 0xff, sizeof *p->chain << p->bits);
    return 1;
}

static void kr_namespaces_free(kr_namespaces *p)
{
    for (uint32_t i = 0; i < p->namespaces; i++)
        free(p->namespace[i].at);
    free(p->namespace);
    free(p->partition);
    free(p->chain);
    memset(p, 0, sizeof *p);
}

static inline uint64_t kr_namespace_hash(const kr_namespaces *p, const kr_text *name)
{
    return kr_hash(name->at, name->len, p->seed);
}

/* Returns the number of a namespace, or KR_NONE. */
static uint32_t kr_namespace_find(const kr_namespaces *p, const kr_text *name, uint64_t hash)
{
    uint32_t i = p->chain[hash >> (64 - p->bits)];
    while (i != KR_NONE) {
        const kr_namespace *namespace = &p->namespace[i];
        if (namespace->hash == hash && namespace->len == name->len && !memcmp(namespace->at, name->at, name->len))
            return i;
        i = namespace->next;
    }
    return KR_NONE;
}

static inline uint32_t kr_partition_in(const kr_namespaces *p, uint32_t namespace, uint32_t stream)
{
    uint32_t i = p->namespace[namespace].first;
    while (i != KR_NONE && p->partition[i].stream != stream)
        i = p->partition[i].next;
    return i;
}

/* Returns the partition of a stream and a namespace, KR_NONE if it has no records. */
static inline uint32_t kr_partition_find(const kr_namespaces *p, uint32_t stream, const kr_text *name)
{
    uint32_t namespace = kr_namespace_find(p, name, kr_namespace_hash(p, name));
    return namespace == KR_NONE ? KR_NONE : kr_partition_in(p, namespace, stream);
}

static inline kr_text kr_partition_namespace(const kr_namespaces *p, uint32_t partition)
{
    const kr_namespace *namespace = &p->namespace[p->partition[partition].namespace];
    return (kr_text){namespace->at, namespace->len};
}

static void *kr_grow(void *array, uint32_t *capacity, size_t each)
{
    uint32_t more = *capacity + *capacity / 4 + 4;
    void *grown = realloc(array, more * each);
    if (grown)
        *capacity = more;
    return grown;
}

static void kr_namespaces_rehash(kr_namespaces *p, uint32_t bits)
{
    uint32_t *chain = (uint32_t *)malloc(sizeof *chain << bits);
    if (!chain)
        return; /* longer chains are slower, but correct */
    memset(chain, 0xff, sizeof *chain << bits);
    for (uint32_t i = 0; i < p->namespaces; i++)
        if (p->namespace[i].at) {
            uint32_t *head = &chain[p->namespace[i].hash >> (64 - bits)];
            p->namespace[i].next = *head;
            *head = i;
        }
    free(p->chain);
    p->chain = chain;
    p->bits = bits;
}

static uint32_t kr_namespace_add(kr_namespaces *p, const kr_text *name, uint64_t hash)
{
    uint32_t i = p->free_namespace;
    if (i == KR_NONE && p->namespaces == p->namespace_capacity) {
        kr_namespace *grown = (kr_namespace *)kr_grow(p->namespace, &p->namespace_capacity, sizeof *grown);
        if (!grown)
            return KR_NONE;
        p->namespace = grown;
    }
    kr_byte *at = (kr_byte *)malloc(name->len + 1);
    if (!at)
        return KR_NONE;
    if (i == KR_NONE)
        i = p->namespaces++;
    else
        p->free_namespace = p->namespace[i].next;
    if (name->len)
        memcpy(at, name->at, name->len);
    if (++p->count > (uint32_t)1 << p->bits) {
        p->namespace[i].at = NULL;
        kr_namespaces_rehash(p, p->bits + 1);
    }
    uint32_t *head = &p->chain[hash >> (64 - p->bits)];
    p->namespace[i] = (kr_namespace){hash, at, (uint32_t)name->len, KR_NONE, *head};
    *head = i;
    p->text_bytes += name->len + 17;
    return i;
}

static void kr_namespace_remove(kr_namespaces *p, uint32_t i)
{
    kr_namespace *namespace = &p->namespace[i];
    uint32_t *link = &p->chain[namespace->hash >> (64 - p->bits)];
    while (*link != i)
        link = &p->namespace[*link].next;
    *link = namespace->next;
    free(namespace->at);
    p->text_bytes -= namespace->len + 17;
    namespace->at = NULL;
    namespace->next = p->free_namespace;
    p->free_namespace = i;
    p->count--;
}

/* Decrements the refcount of a partition; at 0 removes it, and its namespace with the last one. */
static void kr_partition_release(kr_namespaces *p, uint32_t i)
{
    kr_partition *partition = &p->partition[i];
    if (--partition->refcount)
        return;
    uint32_t of = partition->namespace;
    kr_namespace *namespace = &p->namespace[of];
    uint32_t *link = &namespace->first;
    while (*link != i)
        link = &p->partition[*link].next;
    *link = partition->next;
    partition->namespace = p->free_partition;
    p->free_partition = i;
    if (namespace->first == KR_NONE)
        kr_namespace_remove(p, of);
}

/* Returns the partition of a stream and a namespace, and increments its refcount; KR_NONE if there is no memory. */
static uint32_t kr_partition_acquire(kr_namespaces *p, uint32_t stream, const kr_text *name)
{
    uint64_t hash = kr_namespace_hash(p, name);
    uint32_t namespace = kr_namespace_find(p, name, hash);
    uint32_t i = namespace == KR_NONE ? KR_NONE : kr_partition_in(p, namespace, stream);
    if (i != KR_NONE) {
        p->partition[i].refcount++;
        return i;
    }
    if (p->free_partition == KR_NONE && p->partitions == p->partition_capacity) {
        kr_partition *grown = (kr_partition *)kr_grow(p->partition, &p->partition_capacity, sizeof *grown);
        if (!grown)
            return KR_NONE;
        p->partition = grown;
    }
    if (namespace == KR_NONE && (namespace = kr_namespace_add(p, name, hash)) == KR_NONE)
        return KR_NONE;
    i = p->free_partition;
    if (i == KR_NONE)
        i = p->partitions++;
    else
        p->free_partition = p->partition[i].namespace;
    uint64_t seed = kr_mix(hash ^ stream, 0x8ebc6af09c88c6e3u);
    p->partition[i] = (kr_partition){seed, 1, namespace, p->namespace[namespace].first, stream};
    p->namespace[namespace].first = i;
    return i;
}

/* Returns the bytes of the heap. */
static uint64_t kr_namespaces_bytes(const kr_namespaces *p)
{
    return p->namespace_capacity * sizeof *p->namespace + p->partition_capacity * sizeof *p->partition
        + (sizeof *p->chain << p->bits) + p->text_bytes;
}

#endif
