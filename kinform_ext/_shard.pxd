"""Declares scan/shard.h: the shard of a uid."""

from libc.stdint cimport uint32_t


cdef extern from "scan/shard.h":
    uint32_t ks_shard_of(const unsigned char *uid, size_t len, uint32_t count) nogil
