"""`_peek.h` for Cython: the key of an object that is left out."""

from kinform_ext._json cimport kj_ptr, kj_text


cdef extern from "scan/peek.h":
    enum:
        KB_NAMESPACE
        KB_NAME
        KB_UID
        KB_VERSION
        KP_FRAME
        KP_ITEM

    ctypedef struct kp_found:
        kj_text verb
        kj_text field[4]
        int complete

    void kp_peek(kj_ptr *pp, kj_ptr end, int level, kp_found *found) nogil
