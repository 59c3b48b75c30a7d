#include "mmu.h"

#include <stdlib.h>
#include <string.h>

#include "hw.h"

/*
 * Bits of an entry, from the manual's tables for 4-level and 5-level paging, and of the error code
 * of a page fault. On purpose not those of mm/x86_64/entry.h.
 */
#define P       0x1ull
#define RW      0x2ull
#define US      0x4ull
#define A       0x20ull
#define D       0x40ull
#define PS      0x80ull
#define G       0x100ull
#define XD      0x8000000000000000ull
#define ADDRESS 0x000ffffffffff000ull

/* 512 entries a table; fewer where the library is built with smaller tables. */
#ifndef MMU_INDEX_BITS
#define MMU_INDEX_BITS 9u
#endif

enum { ERROR_P = 1, ERROR_WR = 2, ERROR_US = 4, ERROR_RSVD = 8, ERROR_ID = 16 };
enum { INVALID_OPCODE = 6 };

/* What all entries on the way allow together. */
struct rights {
    bool write;
    bool user;
    bool execute;
};

/* A translation in the TLB: 4 KiB, 2 MiB or 1 GiB (12, 21 or 30 address bits). */
struct translation {
    uint64_t number; /* address >> bits */
    unsigned bits;
    uint64_t physical;
    struct rights rights;
    bool dirty;
    bool global;
};

/* A step in a paging-structure cache: all addresses with this prefix continue in `table`. */
struct step {
    uint64_t number; /* address >> bits */
    unsigned bits;   /* 21, 30, 39 or 48; in smaller tables fewer */
    uint64_t table;
    struct rights rights;
};

struct processor {
    uint64_t root;
    struct translation *tlb;
    size_t tlb_count;
    size_t tlb_capacity;
    struct step *steps;
    size_t step_count;
    size_t step_capacity;
};

struct mmu {
    struct sim_machine *sim;
    struct processor processors[MMU_PROCESSORS];
};

/* ---- what a processor keeps ---- */

static void *grow(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    *capacity = 2 * *capacity + 64;
    array = realloc(array, *capacity * size);
    if (array == NULL)
        abort();
    return array;
}

/* The largest that covers the address: the oldest, where a large leaf was cut. */
static struct translation *find_translation(const struct processor *cpu, uint64_t va)
{
    struct translation *found = NULL;

    for (size_t i = 0; i < cpu->tlb_count; i++) {
        struct translation *one = &cpu->tlb[i];

        if (va >> one->bits == one->number && (found == NULL || one->bits > found->bits))
            found = one;
    }
    return found;
}

static void keep_translation(struct processor *cpu, const struct translation *fresh)
{
    for (size_t i = 0; i < cpu->tlb_count; i++) {
        if (cpu->tlb[i].bits == fresh->bits && cpu->tlb[i].number == fresh->number) {
            cpu->tlb[i] = *fresh;
            return;
        }
    }
    cpu->tlb = grow(cpu->tlb, cpu->tlb_count, &cpu->tlb_capacity, sizeof(*cpu->tlb));
    cpu->tlb[cpu->tlb_count++] = *fresh;
}

/* The deepest step on the way to the address. */
static const struct step *find_step(const struct processor *cpu, uint64_t va)
{
    const struct step *found = NULL;

    for (size_t i = 0; i < cpu->step_count; i++) {
        const struct step *one = &cpu->steps[i];

        if (va >> one->bits == one->number && (found == NULL || one->bits < found->bits))
            found = one;
    }
    return found;
}

static void keep_step(struct processor *cpu, const struct step *fresh)
{
    for (size_t i = 0; i < cpu->step_count; i++) {
        if (cpu->steps[i].bits == fresh->bits && cpu->steps[i].number == fresh->number) {
            cpu->steps[i] = *fresh;
            return;
        }
    }
    cpu->steps = grow(cpu->steps, cpu->step_count, &cpu->step_capacity, sizeof(*cpu->steps));
    cpu->steps[cpu->step_count++] = *fresh;
}

/* Translations of the address: global or not, of any size. */
static void forget_translations(struct processor *cpu, uint64_t va)
{
    size_t kept = 0;

    for (size_t i = 0; i < cpu->tlb_count; i++)
        if (va >> cpu->tlb[i].bits != cpu->tlb[i].number)
            cpu->tlb[kept++] = cpu->tlb[i];
    cpu->tlb_count = kept;
}

static void forget_steps(struct processor *cpu, uint64_t va)
{
    size_t kept = 0;

    for (size_t i = 0; i < cpu->step_count; i++)
        if (va >> cpu->steps[i].bits != cpu->steps[i].number)
            cpu->steps[kept++] = cpu->steps[i];
    cpu->step_count = kept;
}

/* INVLPG: the steps to all other addresses go as well. */
static void forget_address(struct processor *cpu, uint64_t va)
{
    forget_translations(cpu, va);
    cpu->step_count = 0;
}

static void forget_all(struct processor *cpu, bool global_too)
{
    size_t kept = 0;

    for (size_t i = 0; i < cpu->tlb_count; i++)
        if (cpu->tlb[i].global && !global_too)
            cpu->tlb[kept++] = cpu->tlb[i];
    cpu->tlb_count = kept;
    cpu->step_count = 0;
}

/* ---- entries in memory ---- */

static uint64_t *entry_at(const struct mmu *mmu, uint64_t table, unsigned index)
{
    if (!sim_machine_has_frame(mmu->sim, ps_frame(table >> 12)))
        return NULL;
    return (uint64_t *)ps_hw_pointer(&mmu->sim->machine, ps_phys(table)) + index;
}

/* A table where no memory is reads as ones, and so breaks on reserved bits. */
static uint64_t read_entry(const uint64_t *entry)
{
    return entry == NULL ? UINT64_MAX : __atomic_load_n(entry, __ATOMIC_ACQUIRE);
}

static void set_bits(uint64_t *entry, uint64_t value, uint64_t bits)
{
    if ((value & bits) != bits)
        (void)__atomic_fetch_or(entry, bits, __ATOMIC_ACQ_REL);
}

/* Address bits below the index into the page directory, and so on upwards: 12, 21, 30, 39, 48. */
static unsigned bits_of_level(unsigned level)
{
    return 12 + MMU_INDEX_BITS * (level - 1);
}

/* Bits that must be 0 in this entry; `bits` as in a translation: 12 for a PTE, 21 for a PDE. */
static uint64_t reserved_in(const struct ps_machine *machine, uint64_t entry, unsigned bits)
{
    uint64_t reserved = ADDRESS & ~(((uint64_t)1 << machine->physical_bits) - 1);

    if (!machine->no_execute)
        reserved |= XD;
    if (bits >= bits_of_level(4) || (bits == bits_of_level(3) && !machine->gib_leaves))
        reserved |= PS;
    else if (bits > 12 && (entry & PS) != 0)
        /* Between the PAT bit and the address of a large page. */
        reserved |= (((uint64_t)1 << bits) - 1) & ~(uint64_t)0x1fff;
    return reserved;
}

/* ---- a walk ---- */

struct walk {
    uint64_t va;
    unsigned access;
    unsigned bits; /* of the entry that is looked at */
    uint64_t table;
    struct rights rights;
    uint32_t error; /* when it failed */
    struct translation found;
    uint64_t *leaf;
    uint64_t leaf_value;
};

static uint32_t error_code(const struct mmu *mmu, unsigned access, uint32_t why)
{
    if ((access & MMU_WRITE) != 0)
        why |= ERROR_WR;
    if ((access & MMU_USER) != 0)
        why |= ERROR_US;
    if ((access & MMU_FETCH) != 0 && mmu->sim->machine.no_execute)
        why |= ERROR_ID;
    return why;
}

static bool allowed(struct rights rights, unsigned access)
{
    return ((access & MMU_WRITE) == 0 || rights.write) &&
           ((access & MMU_USER) == 0 || rights.user) &&
           ((access & MMU_FETCH) == 0 || rights.execute);
}

static struct rights narrow(struct rights rights, uint64_t entry)
{
    return (struct rights){
        .write = rights.write && (entry & RW) != 0,
        .user = rights.user && (entry & US) != 0,
        .execute = rights.execute && (entry & XD) == 0,
    };
}

static void begin_walk(const struct mmu *mmu, const struct processor *cpu, struct walk *walk)
{
    const struct step *step = find_step(cpu, walk->va);

    walk->bits = bits_of_level(mmu->sim->machine.levels);
    walk->table = cpu->root;
    walk->rights = (struct rights){true, true, true};
    if (step == NULL)
        return;
    walk->bits = step->bits - MMU_INDEX_BITS;
    walk->table = step->table;
    walk->rights = step->rights;
}

static void end_walk(const struct mmu *mmu, struct walk *walk, uint64_t *entry, uint64_t value)
{
    uint64_t offset_mask = ((uint64_t)1 << walk->bits) - 1;

    walk->leaf = entry;
    walk->leaf_value = value;
    walk->found = (struct translation){
        .number = walk->va >> walk->bits,
        .bits = walk->bits,
        .physical = value & ADDRESS & ~offset_mask,
        .rights = walk->rights,
        .dirty = (value & D) != 0,
        .global = (value & G) != 0 && mmu->sim->machine.global_leaves,
    };
}

/* Down to a leaf; false with walk->error when there is none. Marks tables as accessed. */
static bool walk_down(const struct mmu *mmu, struct processor *cpu, struct walk *walk)
{
    begin_walk(mmu, cpu, walk);
    for (;;) {
        unsigned index = (unsigned)(walk->va >> walk->bits) & ((1u << MMU_INDEX_BITS) - 1);
        uint64_t *entry = entry_at(mmu, walk->table, index);
        uint64_t value = read_entry(entry);

        walk->error = 0;
        if ((value & P) == 0)
            return false;
        walk->error = ERROR_P | ERROR_RSVD;
        if ((value & reserved_in(&mmu->sim->machine, value, walk->bits)) != 0 || entry == NULL)
            return false;
        walk->rights = narrow(walk->rights, value);
        if (walk->bits == 12 || (value & PS) != 0) {
            end_walk(mmu, walk, entry, value);
            return true;
        }
        set_bits(entry, value, A);
        walk->table = value & ADDRESS;
        keep_step(cpu,
                  &(struct step){walk->va >> walk->bits, walk->bits, walk->table, walk->rights});
        walk->bits -= MMU_INDEX_BITS;
    }
}

/* A leaf is marked and kept only for an access that it allows. */
static bool walk_and_keep(const struct mmu *mmu, struct processor *cpu, struct walk *walk)
{
    bool write = (walk->access & MMU_WRITE) != 0;

    if (!walk_down(mmu, cpu, walk))
        return false;
    walk->error = ERROR_P;
    if (!allowed(walk->rights, walk->access))
        return false;
    set_bits(walk->leaf, walk->leaf_value, write ? A | D : A);
    walk->found.dirty |= write;
    keep_translation(cpu, &walk->found);
    return true;
}

static bool is_canonical(const struct ps_machine *machine, uint64_t va)
{
    unsigned below_top = bits_of_level(machine->levels + 1u) - 1;
    uint64_t top = va >> below_top;

    return top == 0 || top == UINT64_MAX >> below_top;
}

static struct mmu_answer page_fault(const struct mmu *mmu, struct processor *cpu, uint64_t va,
                                    unsigned access, uint32_t why)
{
    /* A fault drops what it came from: a translation that was too old faults once. */
    forget_translations(cpu, va);
    forget_steps(cpu, va);
    return (struct mmu_answer){true, VECTOR_PAGE_FAULT, error_code(mmu, access, why), {0}};
}

struct mmu_answer mmu_translate(struct mmu *mmu, unsigned processor, ps_virt_t va, unsigned access)
{
    struct processor *cpu = &mmu->processors[processor];
    const struct translation *kept = find_translation(cpu, va.addr);
    struct walk walk = {.va = va.addr, .access = access};

    if (!is_canonical(&mmu->sim->machine, va.addr))
        return (struct mmu_answer){true, VECTOR_GENERAL_PROTECTION, 0, {0}};
    if (kept != NULL && !allowed(kept->rights, access))
        return page_fault(mmu, cpu, va.addr, access, ERROR_P);
    /* The first write through a clean translation goes to the tables to leave its mark. */
    if (kept == NULL || ((access & MMU_WRITE) != 0 && !kept->dirty)) {
        if (!walk_and_keep(mmu, cpu, &walk))
            return page_fault(mmu, cpu, va.addr, access, walk.error);
        kept = &walk.found;
    }
    return (struct mmu_answer){
        .pa = ps_phys(kept->physical | (va.addr & (((uint64_t)1 << kept->bits) - 1))),
    };
}

void mmu_speculate(struct mmu *mmu, unsigned processor, ps_virt_t va)
{
    struct walk walk = {.va = va.addr, .access = MMU_READ};

    if (is_canonical(&mmu->sim->machine, va.addr))
        (void)walk_and_keep(mmu, &mmu->processors[processor], &walk);
}

/* ---- instructions ---- */

static struct outcome fault_outcome(const struct mmu_answer *answer, ps_virt_t va)
{
    return (struct outcome){
        .faulted = true,
        .vector = answer->vector,
        .error = answer->error,
        .address = answer->vector == VECTOR_PAGE_FAULT ? va : ps_virt(0),
    };
}

/* NULL: nobody answers at that address on the bus. */
static uint64_t *word_at(const struct mmu *mmu, ps_phys_t pa)
{
    if (!sim_machine_has_frame(mmu->sim, ps_frame_of_phys(pa)))
        return NULL;
    return ps_hw_pointer(&mmu->sim->machine, pa);
}

static uint64_t read_word(const struct mmu *mmu, ps_phys_t pa)
{
    const uint64_t *word = word_at(mmu, pa);

    return word != NULL ? *word : UINT64_MAX;
}

struct outcome mmu_load(struct mmu *mmu, unsigned processor, ps_virt_t va)
{
    struct mmu_answer answer = mmu_translate(mmu, processor, va, MMU_READ);

    if (answer.faulted)
        return fault_outcome(&answer, va);
    return (struct outcome){.value = read_word(mmu, answer.pa)};
}

struct outcome mmu_store(struct mmu *mmu, unsigned processor, ps_virt_t va, uint64_t value)
{
    struct mmu_answer answer = mmu_translate(mmu, processor, va, MMU_WRITE);
    uint64_t *word;

    if (answer.faulted)
        return fault_outcome(&answer, va);
    word = word_at(mmu, answer.pa);
    if (word != NULL)
        *word = value;
    return (struct outcome){0};
}

struct outcome mmu_execute(struct mmu *mmu, unsigned processor, ps_virt_t va)
{
    struct mmu_answer answer = mmu_translate(mmu, processor, va, MMU_FETCH);
    uint64_t code;
    uint32_t value;

    if (answer.faulted)
        return fault_outcome(&answer, va);
    code = read_word(mmu, answer.pa);
    value = (uint32_t)(code >> 8 & UINT32_MAX);
    if (code != WORLD_CODE(value))
        return (struct outcome){.faulted = true, .vector = INVALID_OPCODE};
    return (struct outcome){.value = value};
}

void mmu_invalidate(struct mmu *mmu, unsigned processor, const struct ps_invalidation *what)
{
    struct processor *cpu = &mmu->processors[processor];

    for (uint32_t i = 0; i < what->count; i++)
        for (uint64_t leaf = 0; leaf < what->ranges[i].count; leaf++)
            forget_address(cpu, what->ranges[i].first.addr +
                                    ((leaf * what->ranges[i].step_pages) << 12));
    if (what->count == 0)
        forget_all(cpu, what->global || !mmu->sim->machine.global_leaves);
}

void mmu_set_root(struct mmu *mmu, unsigned processor, ps_frame_t root)
{
    mmu->processors[processor].root = root.number << 12;
    forget_all(&mmu->processors[processor], !mmu->sim->machine.global_leaves);
}

size_t mmu_kept_translations(const struct mmu *mmu, unsigned processor)
{
    return mmu->processors[processor].tlb_count;
}

size_t mmu_kept_steps(const struct mmu *mmu, unsigned processor)
{
    return mmu->processors[processor].step_count;
}

/* ---- the machine's side ---- */

static void local_invalidate(void *context, const struct ps_invalidation *what)
{
    mmu_invalidate(context, 0, what);
}

static void remote_invalidate(void *context, const struct ps_invalidation *what)
{
    mmu_invalidate(context, 1, what);
}

static void local_set_root(void *context, ps_frame_t root)
{
    mmu_set_root(context, 0, root);
}

static ps_frame_t local_root(void *context)
{
    struct mmu *mmu = context;

    return ps_frame(mmu->processors[0].root >> 12);
}

struct mmu *mmu_create(struct sim_machine *sim)
{
    static const struct sim_processor_ops ops = {local_invalidate, local_set_root, local_root};
    struct mmu *mmu = calloc(1, sizeof(*mmu));

    if (mmu == NULL)
        abort();
    mmu->sim = sim;
    sim->processor = &ops;
    sim->processor_context = mmu;
    sim->machine.shootdown = remote_invalidate;
    sim->machine.shootdown_context = mmu;
    return mmu;
}

void mmu_destroy(struct mmu *mmu)
{
    if (mmu == NULL)
        return;
    mmu->sim->processor = NULL;
    mmu->sim->machine.shootdown = NULL;
    for (unsigned i = 0; i < MMU_PROCESSORS; i++) {
        free(mmu->processors[i].tlb);
        free(mmu->processors[i].steps);
    }
    free(mmu);
}
