/*
 * Lets User-Mode Linux of before 6.13 run on processors with AMX; preloaded by uml.py.
 *
 * That kernel sets the vector registers of its processes from a buffer of a fixed size, made for
 * AVX-512. A host with AMX wants all of its larger area (x86's xstateregs_set answers EFAULT), so
 * the guest dies with its first process. Here the area is filled up: AMX in its initial state.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

enum {
    LARGEST = 1 << 16,
    XSTATE_BV = 512,         /* Intel SDM volume 1, 13.4.2: which components are not initial */
    BELOW_AMX = (1 << 17) - 1,
};

typedef long call(enum __ptrace_request, pid_t, void *, void *);

static long set_xstate(call *host, pid_t pid, const struct iovec *given)
{
    static _Alignas(64) unsigned char area[LARGEST];
    static size_t size;
    void *const which = (void *)NT_X86_XSTATE;
    struct iovec whole = {area, LARGEST};

    if (size == 0) {
        if (host(PTRACE_GETREGSET, pid, which, &whole) < 0)
            return -1;
        size = whole.iov_len;
        memset(area, 0, size);
    }
    if (given->iov_len >= size)
        return host(PTRACE_SETREGSET, pid, which, (void *)given);
    memcpy(area, given->iov_base, given->iov_len);
    *(uint64_t *)(area + XSTATE_BV) &= BELOW_AMX;
    whole.iov_len = size;
    return host(PTRACE_SETREGSET, pid, which, &whole);
}

long ptrace(enum __ptrace_request request, ...)
{
    static call *host;
    va_list rest;

    va_start(rest, request);
    pid_t pid = va_arg(rest, pid_t);
    void *address = va_arg(rest, void *);
    void *data = va_arg(rest, void *);
    va_end(rest);
    if (host == NULL)
        host = (call *)dlsym(RTLD_NEXT, "ptrace");
    if (request == PTRACE_SETREGSET && (uintptr_t)address == NT_X86_XSTATE)
        return set_xstate(host, pid, data);
    return host(request, pid, address, data);
}
