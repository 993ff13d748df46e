"""Other encodings: zstandard, alone and with a trained dictionary, and xz.

Frames are of level 3, and have neither magic number nor checksum, like those of kinform. The package zstandard brings
its own libzstd; kinform links the one of the system, which may be of another version and speed.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import lzma
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import zstandard

LEVEL = 3
MAX_DICTIONARY_BYTES = 112 << 10
"""The default of the `zstd` program."""
SAMPLE_SHARE = 8
"""The samples are at least this many times as large as the dictionary."""


class Frames:
    """Encodes objects as zstandard frames, each alone or after one dictionary.

    Args:
        samples: The objects to train the dictionary with; None: use no dictionary.

    Attributes:
        dictionary_bytes: The size of the dictionary; 0 if the samples are too few for one.
    """

    def __init__(self, samples: list[bytes] | None = None) -> None:
        import zstandard  # an optional package

        dictionary: zstandard.ZstdCompressionDict | None = None
        if samples:
            size = min(MAX_DICTIONARY_BYTES, sum(map(len, samples)) // SAMPLE_SHARE)
            with suppress(zstandard.ZstdError):
                dictionary = zstandard.train_dictionary(size, list(samples), level=LEVEL)
        self.dictionary_bytes = 0 if dictionary is None else len(dictionary)
        magicless = zstandard.FORMAT_ZSTD1_MAGICLESS
        params = zstandard.ZstdCompressionParameters(
            compression_level=LEVEL, format=magicless, write_checksum=False, write_dict_id=False
        )
        self._encoder = zstandard.ZstdCompressor(dict_data=dictionary, compression_params=params)
        self._decoder = zstandard.ZstdDecompressor(dict_data=dictionary, format=magicless)

    def encode(self, objects: list[bytes]) -> tuple[list[bytes], float]:
        """Returns the frames, and the CPU seconds."""
        compress, start = self._encoder.compress, time.thread_time()
        frames = [compress(found) for found in objects]
        return frames, time.thread_time() - start

    def decode(self, frames: list[bytes]) -> tuple[list[bytes], float]:
        """Returns the objects, and the CPU seconds."""
        decompress, start = self._decoder.decompress, time.thread_time()
        found = [decompress(frame) for frame in frames]
        return found, time.thread_time() - start


class SystemFrames:
    """Encodes objects as frames, each alone, with the libzstd that kinform links.

    A call through ctypes takes about a microsecond, which counts.
    """

    _COMPRESSION_LEVEL = 100  # a value of ZSTD_cParameter
    _MAGIC_BYTES = 4

    def __init__(self) -> None:
        library = ctypes.CDLL(ctypes.util.find_library("zstd"))
        library.ZSTD_createCCtx.restype = ctypes.c_void_p
        library.ZSTD_compressBound.restype = library.ZSTD_compress2.restype = ctypes.c_size_t
        library.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
        library.ZSTD_CCtx_setParameter.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
        library.ZSTD_compress2.argtypes = [
            *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t),
            *(ctypes.c_char_p, ctypes.c_size_t),
        ]
        library.ZSTD_freeCCtx.argtypes = [ctypes.c_void_p]
        self._library, self._context = library, library.ZSTD_createCCtx()
        library.ZSTD_CCtx_setParameter(self._context, self._COMPRESSION_LEVEL, LEVEL)

    def __del__(self) -> None:
        self._library.ZSTD_freeCCtx(self._context)

    def encode(self, objects: list[bytes]) -> tuple[list[bytes], float]:
        """Returns the frames, and the CPU seconds."""
        compress, context = self._library.ZSTD_compress2, self._context
        capacity = self._library.ZSTD_compressBound(max(map(len, objects)))
        room = ctypes.create_string_buffer(capacity)
        at, start = ctypes.addressof(room), time.thread_time()
        frames = [ctypes.string_at(at, compress(context, at, capacity, found, len(found))) for found in objects]
        spent = time.thread_time() - start
        return [frame[self._MAGIC_BYTES :] for frame in frames], spent


def xz_bytes(objects: list[bytes]) -> int:
    """Returns the size of all objects as one file, compressed by `xz -9e`."""
    return len(lzma.compress(b"\n".join(objects), preset=9 | lzma.PRESET_EXTREME))
