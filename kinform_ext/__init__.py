"""The compiled extension modules: bytes in, bytes out.

They import nothing of kinform. `_scan` reads response bodies into batches. `_table` stores objects as versions and
indexes them. There are two modules only, as Cython adds some 60 KiB of code to each. The C headers lie in folders. A
header includes only those of its own folder and of lower lines:

    stream.h, table.h, pins.h   kt_   a table as a whole
    index/                      kx_   the values of objects, and the ids that have them
    coder/                      kc_   objects as their differences from templates
    records/                    kr_   records, ids, keys, namespaces; memory mapped from the system
    scan/                       ks_   objects: pruned, located in a batch
    json/                       kj_   JSON on bytes

The prefix of a name states its folder; a constant has the same prefix in upper case. Then come the structure and a
verb, as in `kr_slab_release`: init and free for the whole structure; reserve, which may fail, and take, which may not;
acquire and release for a refcount. A function that cannot get memory returns 0, NULL or a constant ..._NONE. Each
header holds one structure. Its first comment states the invariant and the bound.
"""

import importlib


def _require_modules() -> None:
    try:
        importlib.import_module("kinform_ext._scan")
    except ModuleNotFoundError as error:
        if error.name != "kinform_ext._scan":
            raise
        raise ModuleNotFoundError(
            f"the compiled modules of kinform are not built in {__path__[0]}: for a clone,"
            " `python -m pip install -e .` builds them; to use a kinform that is installed, start Python in another"
            " folder",
            name="kinform_ext._scan",
        ) from None


_require_modules()
