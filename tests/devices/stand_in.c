// A stand-in for a GPU's driver, loaded before everything else (LD_PRELOAD): memfds called "stand-in" pass for
// dma-bufs, and those called "stand-in-unmapped" for some that the processor cannot map, as most memory of GPUs. With
// STAND_IN_REGISTERS an RDMA device takes them: Soft-RoCE's driver takes no dma-buf of any device, so what is
// registered is a mapping of the same memory.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define DMA_BUF_MAGIC 0x444d4142

struct ibv_pd;
struct ibv_mr;
struct ibv_mr* ibv_reg_mr_iova(struct ibv_pd*, void*, size_t, uint64_t, int);

static void* next(const char* name, const char* version) { return dlvsym(RTLD_NEXT, name, version); }

static int is_called(int fd, const char* prefix) {
    char link[64], name[64] = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return readlink(link, name, sizeof name - 1) > 0 && strncmp(name, prefix, strlen(prefix)) == 0;
}

static int is_stand_in(int fd) { return is_called(fd, "/memfd:stand-in"); }

int fstatfs(int fd, struct statfs* out) {
    int (*real)(int, struct statfs*) = next("fstatfs", "GLIBC_2.2.5");
    const int result = real(fd, out);
    if (result == 0 && is_stand_in(fd)) out->f_type = DMA_BUF_MAGIC;
    return result;
}

static void* map(void* at, size_t size, int protection, int flags, int fd, off_t offset) {
    return (void*)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}

void* mmap(void* at, size_t size, int protection, int flags, int fd, off_t offset) {
    if (fd >= 0 && is_called(fd, "/memfd:stand-in-unmapped")) {
        errno = ENODEV;
        return MAP_FAILED;
    }
    return map(at, size, protection, flags, fd, offset);
}

static void* libibverbs;

static struct ibv_mr* reg_dmabuf_mr(struct ibv_pd* domain, uint64_t offset, size_t size, uint64_t iova, int fd,
                                    int access) {
    struct ibv_mr* (*reg)(struct ibv_pd*, void*, size_t, uint64_t, int) = dlsym(libibverbs, "ibv_reg_mr_iova");
    const uint64_t in_page = offset % 4096;
    if (!is_stand_in(fd) || iova % 4096 != in_page) {  // as the kernel insists
        errno = EINVAL;
        return NULL;
    }
    char* at = map(NULL, in_page + size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(offset - in_page));
    if (at == MAP_FAILED) return NULL;
    struct ibv_mr* region = reg(domain, at + in_page, size, iova, access);  // which keeps the pages
    const int error = errno;
    munmap(at, in_page + size);
    errno = error;
    return region;
}

void* dlsym(void* handle, const char* name) {
    void* (*real)(void*, const char*) = next("dlsym", "GLIBC_2.34");
    if (!real) real = next("dlsym", "GLIBC_2.2.5");
    if (strcmp(name, "ibv_reg_dmabuf_mr") == 0 && getenv("STAND_IN_REGISTERS")) {
        libibverbs = handle;
        return (void*)reg_dmabuf_mr;
    }
    return real(handle, name);
}
