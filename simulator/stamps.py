"""Arrival times that a stalled simulator cannot falsify: the kernel's receive timestamps.

Linux notes when a packet came in, whoever reads it and however late (`SO_TIMESTAMPNS`, also for
TCP). One read yields the stamp of the newest segment that it returned, so a request that came in
one segment is stamped exactly, and one of several segments between its first and its last byte.
"""

import socket
import struct
import time

# Not named by Python's socket module; asm-generic/socket.h of Linux.
SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")
ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)
NS_PER_S = 1_000_000_000


def ask_for_stamps(sock: socket.socket) -> bool:
    """Ask the kernel to stamp what `sock` receives; sockets accepted from a listener inherit it.

    Returns False where the kernel has no such option: stamps are then taken by `time.time_ns`.
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def receive(sock: socket.socket, size_bytes: int) -> tuple[bytes, int, bool]:
    """Read once from a non-blocking socket.

    Returns the bytes (empty at the end of the stream), the arrival in nanoseconds since 1970, and
    whether the kernel gave that stamp. Raises BlockingIOError when nothing is there.
    """
    data, ancillary, _flags, _address = sock.recvmsg(size_bytes, ANCILLARY_BYTES)
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack_from(value)
            return data, seconds * NS_PER_S + nanoseconds, True
    return data, time.time_ns(), False
