#!/usr/bin/env python3
"""Runs a command where RDMA exists: in a throw-away machine with Soft-RoCE devices, on this machine's files.

    tests/rdma/vm.py [-m MEGABYTES] [-t SECONDS] [-o DIRECTORY] COMMAND...

The command sees this file system and this environment, and RDMA_VM=1; what it writes is lost, except in $RDMA_VM_OUT,
which is DIRECTORY. What it prints is passed on at once, as is its exit status. 124: it took too long; 125: it could
not be run, or the machine died. Emulated, it runs about ten times slower than here. More in tests/rdma/README.md.
"""

from __future__ import annotations

import argparse
import fcntl
import gzip
import hashlib
import io
import lzma
import os
import platform
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TIMED_OUT, FAILED = 124, 125
CONSOLE_LINES_SHOWN = 60

# Each with all it depends on. What a Debian kernel has built in is not here.
MODULES = [
    *("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay", "veth", "sch_netem"),
    *("crc32_generic", "rdma_rxe", "ib_uverbs", "rdma_ucm"),
    "vgem",  # a graphics device without hardware, whose memory is given away as dma-bufs
]
APPLETS = ["sh", "mount", "insmod", "mkdir", "chroot", "cat", "touch", "sync", "poweroff"]


class CannotRun(Exception):
    """The machine cannot be had; the text says what to do."""


def missing_packages() -> list[str]:
    """Those of packages.txt that are not installed."""
    wanted = (HERE / "packages.txt").read_text().split()
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *wanted]
    installed = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    return [package for package in wanted if f"{package} installed" not in installed]


def check_host() -> None:
    if platform.machine() != "x86_64" or shutil.which("dpkg-query") is None:
        raise CannotRun("the machine is made of packages of Debian or its kin on x86-64, and this is neither")
    if missing := missing_packages():
        raise CannotRun(f"packages are missing: apt-get install --no-install-recommends {' '.join(missing)}")


# ------------------------------------------------------------------------------------------- kernel and first files


@dataclass
class Kernel:
    """What a guest boots from."""

    image: Path
    initrd: Path


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "libderecho" / "rdma-vm"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time prepares the cache; who comes second finds it ready."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(*argv: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(list(map(str, argv)), cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotRun(f"{shlex.join(map(str, argv))}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def kernel() -> Kernel:
    """The newest kernel of the cache, else the distribution's, made ready for these modules and this init."""
    recipe = (HERE / "init").read_bytes() + repr((MODULES, APPLETS)).encode()
    digest = hashlib.sha256(recipe).hexdigest()[:12]
    cache = cache_folder()
    with locked(cache):
        package = newest(cache) or download(cache)
        ready = cache / f"{package.name.split('_')[0]}-{digest}"
        if not ready.exists():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                made = Path(scratch, "made")
                made.mkdir()
                make_ready(package, Path(scratch), made)
                made.rename(ready)
    return Kernel(ready / "vmlinux", ready / "initrd")


def newest(cache: Path) -> Path | None:
    def version(package: Path) -> list[int]:
        return [int(digits) for digits in re.findall(r"\d+", package.name)]

    return max(cache.glob("linux-image-*.deb"), key=version, default=None)


def download(cache: Path) -> Path:
    depends = run("apt-cache", "depends", "--important", "linux-image-amd64")
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    if found is None:
        raise CannotRun("apt knows no kernel: apt-get update")
    print(f"rdma-vm: fetching {found[1]}, once", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        run("apt-get", "download", "-q", found[1], cwd=Path(scratch))
        (fetched,) = Path(scratch).glob("*.deb")
        return fetched.rename(cache / fetched.name)


def make_ready(package: Path, scratch: Path, made: Path) -> None:
    """Unpacks the package, which is never installed, and takes from it the kernel and the modules wanted."""
    unpacked = scratch / "kernel"
    run("dpkg-deb", "-x", package, unpacked)
    (image,) = unpacked.glob("boot/vmlinuz-*")
    version = image.name.removeprefix("vmlinuz-")
    (made / "vmlinux").write_bytes(uncompressed(image.read_bytes()))

    files = scratch / "initrd"
    for folder in ("bin", "proc", "sys", "dev", "host", "overlay", "modules"):
        (files / folder).mkdir(parents=True)
    run("/sbin/depmod", "-b", unpacked, version)
    order: list[str] = []
    for module in MODULES:
        for line in run("/sbin/modprobe", "-d", unpacked, "-S", version, "--show-depends", module).splitlines():
            kind, _, path = line.strip().partition(" ")
            name = Path(path).name
            if kind == "insmod" and name not in order:
                shutil.copy(path.split()[0], files / "modules")
                order.append(name)
    (files / "modules" / "order").write_text("".join(f"{name}\n" for name in order))
    shutil.copy("/bin/busybox", files / "bin")
    for applet in APPLETS:
        (files / "bin" / applet).symlink_to("busybox")
    shutil.copy(HERE / "init", files)
    names = "\n".join(str(path.relative_to(files)) for path in sorted(files.rglob("*")))
    packed = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"], cwd=files, input=names.encode(), capture_output=True, check=True
    )
    (made / "initrd").write_bytes(packed.stdout)  # unpacking it would cost the guest more than reading it


def uncompressed(image: bytes) -> bytes:
    """The ELF file inside a bzImage: an emulated machine takes three seconds to unpack it."""
    sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    payload = image[(sectors + 1) * 512 + offset :][:length]
    if payload.startswith(b"\xfd7zXZ"):
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=io.BytesIO(payload)).read(1 << 30)
    return image  # it boots as it is


# --------------------------------------------------------------------------------------------------------- one guest


def accelerator() -> list[str]:
    """KVM where the processor has it; some machines have the device without, and guests hang."""
    flags = re.search(r"^flags\s*:.*\b(vmx|svm)\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    if flags is not None and os.access("/dev/kvm", os.R_OK | os.W_OK):
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,-erms,-fsrm"]


def share(name: str, folder: Path, options: str = "") -> list[str]:
    # A comma is doubled in a value of qemu's.
    path = str(folder).replace(",", ",,")
    return ["-virtfs", f"local,path={path},mount_tag={name},security_model=none{options}"]


def machine(boot: Kernel, job: Path, output: Path, megabytes: int) -> list[str]:
    return [
        *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", *accelerator(), "-smp", "2", "-m", str(megabytes)),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-kernel", str(boot.image), "-initrd", str(boot.initrd)),
        # An emulated counter is as good as any; the kernel does not trust it and would ask qemu, at 3 us a time.
        *("-append", "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable", "-serial", f"file:{job / 'console'}"),
        *("-device", "virtio-serial-pci", "-chardev", "stdio,id=printed,signal=off"),
        *("-device", "virtserialport,chardev=printed"),
        *share("host", Path("/"), ",readonly=on,multidevs=remap"),
        *share("job", job),
        *share("out", output),
    ]


def write_job(job: Path, command: list[str]) -> None:
    """What init runs: the command as if started here."""
    environment = os.environ | {"RDMA_VM": "1", "RDMA_VM_OUT": "/run/rdma-vm/out"}
    names = filter(str.isidentifier, environment)
    lines = [f"export {name}={shlex.quote(environment[name])}" for name in names]
    lines += [f"cd {shlex.quote(os.getcwd())} || exit", f"exec {shlex.join(command)}"]
    (job / "command").write_text("\n".join(lines) + "\n")
    shutil.copy(HERE / "network.sh", job / "network")


def end_of_console(job: Path) -> str:
    lines = (job / "console").read_text(errors="replace").splitlines() if (job / "console").exists() else []
    return "".join(f"\n    {line}" for line in lines[-CONSOLE_LINES_SHOWN:])


def run_in_guest(command: list[str], output: Path | None, megabytes: int, seconds: float) -> int:
    """Boots a guest for one command; its exit status, or one of ours."""
    check_host()
    boot = kernel()
    with tempfile.TemporaryDirectory(prefix="rdma-vm-") as scratch:
        job = Path(scratch, "job")
        written = output or Path(scratch, "out")
        for folder in (job, written):
            folder.mkdir(parents=True, exist_ok=True)
        write_job(job, command)
        started = time.monotonic()
        # Never written to, but open: at its end qemu would take what is printed for unwanted, and the guest block.
        guest = subprocess.Popen(machine(boot, job, written.resolve(), megabytes), stdin=subprocess.PIPE)
        try:
            guest.wait(seconds)
        except subprocess.TimeoutExpired:
            waited = shlex.join(command) if (job / "started").exists() else "the machine to boot"
            print(f"rdma-vm: time-out: waited {seconds:g} s for {waited}{end_of_console(job)}", file=sys.stderr)
            return TIMED_OUT
        finally:
            guest.kill()
            guest.wait()
        if not (job / "status").exists():
            after = time.monotonic() - started
            raise CannotRun(f"the machine died after {after:.1f} s, qemu's {guest.returncode}{end_of_console(job)}")
        return int((job / "status").read_text())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--megabytes", type=int, default=2048, help="its memory; what is unused costs nothing")
    parser.add_argument("-t", "--seconds", type=float, default=300, help="time-out, boot included")
    parser.add_argument("-o", "--output", type=Path, metavar="DIRECTORY", help="where files written to $RDMA_VM_OUT go")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND...")
    arguments = parser.parse_args()
    if not arguments.command:
        parser.error("which command?")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what is to be cleaned up, is
    try:
        return run_in_guest(arguments.command, arguments.output, arguments.megabytes, arguments.seconds)
    except CannotRun as reason:
        print(f"rdma-vm: {reason}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
