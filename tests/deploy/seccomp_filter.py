"""System call filters by libseccomp, through ctypes: no package for Python is wanted for a dozen calls.

    Filter(errno.EPERM).allow("read").refuse_masked("mmap", 2, 6, 6).load()    # in the process to be filtered

The filter is loaded into the calling process for good; call it between fork and exec.
"""

import ctypes
import ctypes.util

ALLOW = 0x7FFF0000  # SCMP_ACT_ALLOW
KILL_PROCESS = 0x80000000
NR_SCMP_ERROR = -1
_MASKED_EQUAL = 7  # SCMP_CMP_MASKED_EQ
_COMPARISONS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": _MASKED_EQUAL,
}


def errno_action(number):
    return 0x00050000 | number  # SCMP_ACT_ERRNO


class _Comparison(ctypes.Structure):
    _fields_ = [
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    ]


def library():
    """libseccomp, or None where it is not installed."""
    name = ctypes.util.find_library("seccomp") or "libseccomp.so.2"
    try:
        seccomp = ctypes.CDLL(name, use_errno=True)
    except OSError:
        return None
    seccomp.seccomp_init.restype = ctypes.c_void_p
    seccomp.seccomp_init.argtypes = [ctypes.c_uint32]
    seccomp.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    ]
    seccomp.seccomp_load.argtypes = [ctypes.c_void_p]
    seccomp.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    return seccomp


class Filter:
    def __init__(self, default_action):
        self._library = library()
        self._context = self._library.seccomp_init(default_action)
        if not self._context:
            raise OSError("seccomp_init")

    def knows(self, name):
        """Whether this libseccomp has heard of the call; on this machine's kernel it may be missing all the same."""
        return self._library.seccomp_syscall_resolve_name(name.encode()) != NR_SCMP_ERROR

    def add(self, action, name, arguments=()):
        """`arguments`: (index, "SCMP_CMP_...", value, second value)."""
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        # A negative number other than the error stands for a call that this architecture does not have.
        if number < 0:
            return self
        comparisons = (_Comparison * max(len(arguments), 1))()
        for i, (index, operation, value, second) in enumerate(arguments):
            comparisons[i] = _Comparison(index, _COMPARISONS[operation], value, second)
        result = self._library.seccomp_rule_add_array(self._context, action, number, len(arguments), comparisons)
        if result != 0:
            raise OSError(-result, f"seccomp_rule_add {name} {arguments}")
        return self

    def load(self):
        result = self._library.seccomp_load(self._context)
        if result != 0:
            raise OSError(-result, "seccomp_load")
