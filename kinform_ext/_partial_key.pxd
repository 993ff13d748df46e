"""Declares scan/partial_key.h: the verb and key of a skipped object."""

from kinform_ext._json cimport kj_ptr, kj_text


cdef extern from "scan/partial_key.h":
    enum:
        KS_NAMESPACE
        KS_NAME
        KS_UID
        KS_RESOURCE_VERSION
        KS_FRAME
        KS_ITEM

    ctypedef struct ks_partial_key:
        kj_text verb
        kj_text field[4]
        int complete

    void ks_read_partial_key(kj_ptr *pp, kj_ptr end, int level, ks_partial_key *found) nogil
