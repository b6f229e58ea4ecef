"""Pages of memory: on Linux huge ones, without which a step on a CPU spends up to a seventh of its time on them."""

import os
import sys

from jaxembed.cli import signals

TUNABLES, HUGE = "GLIBC_TUNABLES", "glibc.malloc.hugetlb"
# The first glibc that can be asked for huge pages.
SINCE = (2, 35)


def ask() -> None:
    """Start this program once more in the same process, with huge pages, unless $GLIBC_TUNABLES says what it wants.

    glibc reads its settings before Python starts, so that nothing can change them later. Call this first: what was
    imported before it is imported again. Signals wait until that program begins.
    """
    tunables = os.environ.get(TUNABLES, "")
    if HUGE in tunables or not _available() or not sys.executable:
        return
    os.environ[TUNABLES] = ":".join(filter(None, [tunables, f"{HUGE}=1"]))
    signals.block()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _available() -> bool:
    if sys.platform != "linux" or "CS_GNU_LIBC_VERSION" not in os.confstr_names:
        return False
    name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    return name == "glibc" and tuple(map(int, version.split(".")[:2])) >= SINCE
