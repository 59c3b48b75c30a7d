/*
 * The software MMU: two processors of a simulated machine, as the processor's manual
 * describes them. It shares no line with the library's own reading of that manual.
 *
 * Each processor keeps every translation and every step of a walk that it ever used, until
 * an invalidation covers it: whoever forgets one sees stale memory, always. The library runs
 * on processor 0; processor 1 hears of invalidations only through machine->shootdown.
 *
 *     load(va) -> translation kept? -> rights -> memory
 *                 else: deepest step kept -> tables -> accessed, dirty -> keep -> rights
 *
 * Where a processor may do one of several things, this one does what hurts most: it uses
 * the largest of several translations that it keeps, and never forgets one by itself.
 * Write protection (CR0.WP) is on. There is no SMEP, SMAP or protection key.
 */
#ifndef TESTS_MACHINE_MMU_H
#define TESTS_MACHINE_MMU_H

#include "machine.h"
#include "../suite/world.h"

enum { MMU_PROCESSORS = 2 };

struct mmu;

/* Attach two processors to the machine. Both roots are frame 0 until they are set. */
struct mmu *mmu_create(struct sim_machine *sim);
void mmu_destroy(struct mmu *mmu);

/* What an access wants. */
enum {
    MMU_READ = 0,
    MMU_WRITE = 1u << 0,
    MMU_FETCH = 1u << 1,
    MMU_USER = 1u << 2, /* from ring 3 */
};

struct mmu_answer {
    bool faulted;
    uint8_t vector;
    uint32_t error;
    ps_phys_t pa; /* when nothing faulted */
};

struct mmu_answer mmu_translate(struct mmu *mmu, unsigned processor, ps_virt_t va, unsigned access);

/* 8 bytes at an address aligned to 8. Memory that is not there reads as ones. */
struct outcome mmu_load(struct mmu *mmu, unsigned processor, ps_virt_t va);
struct outcome mmu_store(struct mmu *mmu, unsigned processor, ps_virt_t va, uint64_t value);
/* Fetch and obey WORLD_CODE(); anything else is an invalid opcode, vector 6. */
struct outcome mmu_execute(struct mmu *mmu, unsigned processor, ps_virt_t va);

/* Speculation: walk and keep what was found, without a fault and without any other effect. */
void mmu_speculate(struct mmu *mmu, unsigned processor, ps_virt_t va);

/* What the instructions of these names do on one processor. */
void mmu_invalidate(struct mmu *mmu, unsigned processor, const struct ps_invalidation *what);
void mmu_set_root(struct mmu *mmu, unsigned processor, ps_frame_t root);

/* Translations that the processor keeps now, and steps of walks. */
size_t mmu_kept_translations(const struct mmu *mmu, unsigned processor);
size_t mmu_kept_steps(const struct mmu *mmu, unsigned processor);

#endif
