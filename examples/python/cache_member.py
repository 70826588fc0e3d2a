"""A member of a replicated cache: cache_member.py NODE ADDRESSES, of which it listens at the NODE-th."""

import signal
import sys
from pathlib import Path

import derecho

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cache import Cache

if len(sys.argv) != 3:
    sys.exit("usage: cache_member.py NODE HOST:PORT,HOST:PORT,HOST:PORT")
sys.stdout.reconfigure(line_buffering=True)  # the output may go to a file
for number in (signal.SIGINT, signal.SIGTERM):  # leave the block, and so the group, in good order
    signal.signal(number, lambda *_: sys.exit())
node, addresses = int(sys.argv[1]), sys.argv[2].split(",")
with derecho.join(
    [Cache()], node=node, listen=addresses[node - 1], initial_members=addresses, on_view=print, timeout=60
) as group:
    for line in sys.stdin:  # each line is put, until the end of the input (Ctrl-D)
        print("every member says", group[Cache].put(line.strip(), b"hello").all(), flush=True)
