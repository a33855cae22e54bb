/*
 * The machine's own limit: how many random 64-bit numbers a second all cores
 * together can insert into a table of 1 GiB.
 *
 * The table is open, with linear probing and a compare-and-swap for each
 * insert, and ends half full.  The slots of a batch are prefetched before any
 * of it is inserted, so that the accesses of a core overlap.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { BITS = 27, BATCH = 32, MOST_THREADS = 256 };
static const uint64_t SLOTS = 1ull << BITS, MASK = (1ull << BITS) - 1;
static _Atomic uint64_t *table;
static uint64_t each;
static pthread_barrier_t barrier;

static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static void insert(uint64_t key) {
    for (uint64_t at = key & MASK;; at = (at + 1) & MASK) {
        uint64_t seen = atomic_load_explicit(&table[at], memory_order_relaxed);
        if (seen == key) return;
        if (seen == 0) {
            if (atomic_compare_exchange_strong(&table[at], &seen, key)) return;
            if (seen == key) return;
        }
    }
}

static void *work(void *argument) {
    uint64_t from = (uint64_t)(uintptr_t)argument * each, keys[BATCH];
    pthread_barrier_wait(&barrier);
    for (uint64_t done = 0; done < each; done += BATCH) {
        for (int i = 0; i < BATCH; i++) {
            keys[i] = mix(from + done + (uint64_t)i) | 1;
            keys[i] = keys[i] << 1 | keys[i] >> 63;
            __builtin_prefetch((const void *)&table[keys[i] & MASK], 1, 0);
        }
        for (int i = 0; i < BATCH; i++) insert(keys[i]);
    }
    return 0;
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    if (threads < 1 || threads > MOST_THREADS) return 2;
    table = mmap(0, SLOTS * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    madvise((void *)table, SLOTS * 8, MADV_HUGEPAGE);
    /* The first touch of a page is not what is measured. */
    for (uint64_t at = 0; at < SLOTS; at += 512) table[at] = 0;
    each = SLOTS / 2 / (uint64_t)threads / BATCH * BATCH;
    pthread_t workers[MOST_THREADS];
    pthread_barrier_init(&barrier, 0, (unsigned)threads + 1);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&workers[i], 0, work, (void *)(uintptr_t)i)) return 1;
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < threads; i++) pthread_join(workers[i], 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
    printf("%.0f\n", (double)(each * (uint64_t)threads) / seconds);
    return 0;
}
