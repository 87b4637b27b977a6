/* Counts what Python's object and memory allocators hand out, for bench/counts.py. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyMemAllocatorEx inner[2];
static size_t large_bytes;
static int is_counting;
static long blocks, large_blocks;

static void note(size_t size) {
    if (is_counting) {
        blocks++;
        large_blocks += size >= large_bytes;
    }
}

static void *on_malloc(void *ctx, size_t size) {
    PyMemAllocatorEx *next = ctx;
    note(size);
    return next->malloc(next->ctx, size);
}

static void *on_calloc(void *ctx, size_t count, size_t size) {
    PyMemAllocatorEx *next = ctx;
    note(count * size);
    return next->calloc(next->ctx, count, size);
}

static void *on_realloc(void *ctx, void *block, size_t size) {
    PyMemAllocatorEx *next = ctx;
    note(size);
    return next->realloc(next->ctx, block, size);
}

static void on_free(void *ctx, void *block) {
    PyMemAllocatorEx *next = ctx;
    next->free(next->ctx, block);
}

void install(size_t large) {
    PyMemAllocatorDomain domains[2] = {PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ};
    large_bytes = large;
    for (int at = 0; at < 2; at++) {
        PyMem_GetAllocator(domains[at], &inner[at]);
        PyMemAllocatorEx outer = {&inner[at], on_malloc, on_calloc, on_realloc,
                                  on_free};
        PyMem_SetAllocator(domains[at], &outer);
    }
}

void count(int on) { is_counting = on; }
void forget(void) { blocks = large_blocks = 0; }
long all(void) { return blocks; }
long large(void) { return large_blocks; }
