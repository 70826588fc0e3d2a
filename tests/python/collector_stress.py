"""A million messages, filled and read in place, while the collector runs at nearly every allocation.

``collector_stress.py COUNT``: threads claim room, fill it in place and commit; one thread reads payloads in place. Each
payload carries its own checksum, and its number among those of its sender. Threads change places all the time. Prints
resident memory after the first tenth and at the end, in bytes.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import zlib

import derecho

SENDERS = 4
SIZES = range(16, 400, 7)
WINDOW = 20_000  # messages that are sent and not read yet


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Stress:
    """Sends and reads; `wrong` counts payloads that are not what was sent, or not next."""

    def __init__(self, group: derecho.Group, count: int) -> None:
        self.shard = group.raw("stress")
        self.count = count
        self.read = 0
        self.wrong = 0
        self.next = [0] * SENDERS
        self.early = 0
        self.room = threading.Semaphore(WINDOW)

    def send(self, sender: int) -> None:
        pattern = bytes(range(sender, 256)) * 2
        for i in range(self.count // SENDERS):
            self.room.acquire()
            size = SIZES[i % len(SIZES)]
            with self.shard.claim(size) as view:
                view[8:] = pattern[: size - 8]
                view[8:12] = i.to_bytes(4, "little")
                view[12] = sender
                view[:8] = zlib.crc32(view[8:]).to_bytes(8, "little")
            if i % 1000 == 0:
                derecho.buffer(100_000).view[:8] = b"released"  # dropped at once

    def take_all(self) -> None:
        while self.read < self.count:
            for message in self.shard.poll(1.0):
                data = message.data
                if int.from_bytes(data[:8], "little") != zlib.crc32(data[8:]):
                    self.wrong += 1
                if int.from_bytes(data[8:12], "little") != self.next[data[12]]:
                    self.wrong += 1
                self.next[data[12]] += 1
                self.read += 1
                self.room.release()
                if self.read == self.count // 10:
                    self.early = resident()


def main() -> None:
    gc.set_threshold(1, 1, 1)
    sys.setswitchinterval(1e-5)
    with alone() as group:
        stress = Stress(group, int(sys.argv[1]))
        threads = [threading.Thread(target=stress.send, args=(sender,)) for sender in range(SENDERS)]
        for thread in threads:
            thread.start()
        stress.take_all()
        for thread in threads:
            thread.join()
    print(stress.read, stress.wrong, stress.early, resident())


def alone() -> derecho.Group:
    """A group of this process alone."""
    return derecho.join(raw=["stress"], node=1, listen="127.0.0.1:0", found=True)


if __name__ == "__main__":
    main()
