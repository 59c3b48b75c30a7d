/*
 * The loop around ExitBootServices, against a firmware that does everything that real
 * firmware has been seen to do wrong.
 */
#include <stdlib.h>
#include <string.h>

#include "../../efi/exit_boot.h"
#include "harness/test.h"

struct liar {
    uint64_t stride;
    uint64_t descriptors;
    uint64_t key;
    /* How it lies. */
    unsigned stale_exits;       /* refuses this many times */
    uint64_t growth;            /* descriptors more after every call for the map */
    bool stride_only_with_map;  /* a size query fills in nothing but the size */
    bool size_not_told;         /* answers "too small" without saying what is needed */
    enum exit_answer map_fails; /* answers this, unless EXIT_ANSWER_OK */
    enum exit_answer exit_fails;
    unsigned allocations_left;
    /* What it saw. */
    unsigned exits;
    unsigned maps;
    uint64_t key_of_exit;
    unsigned live_buffers;
    unsigned calls_after_last_map; /* of anything but exit */
};

static struct liar honest(void)
{
    return (struct liar){.stride = 48, .descriptors = 120, .key = 7, .allocations_left = 1000};
}

static enum exit_answer liar_map(void *context, void *buffer, uint64_t *size, uint64_t *key,
                                 uint64_t *stride)
{
    struct liar *liar = context;
    uint64_t needed = liar->descriptors * liar->stride;
    bool fits = buffer != NULL && *size >= needed;

    liar->maps++;
    liar->calls_after_last_map = 0;
    if (liar->map_fails != EXIT_ANSWER_OK)
        return liar->map_fails;
    if (fits || !liar->stride_only_with_map)
        *stride = liar->stride;
    liar->descriptors += liar->growth;
    if (!fits) {
        if (!liar->size_not_told)
            *size = needed;
        return EXIT_ANSWER_TOO_SMALL;
    }
    memset(buffer, 0x5a, needed);
    *size = needed;
    *key = ++liar->key;
    return EXIT_ANSWER_OK;
}

static enum exit_answer liar_exit(void *context, uint64_t key)
{
    struct liar *liar = context;

    liar->exits++;
    liar->key_of_exit = key;
    if (liar->exit_fails != EXIT_ANSWER_OK)
        return liar->exit_fails;
    if (liar->exits <= liar->stale_exits || key != liar->key)
        return EXIT_ANSWER_STALE;
    return EXIT_ANSWER_OK;
}

static void *liar_allocate(void *context, uint64_t bytes)
{
    struct liar *liar = context;

    liar->calls_after_last_map++;
    if (liar->allocations_left == 0)
        return NULL;
    liar->allocations_left--;
    liar->live_buffers++;
    return calloc(1, bytes);
}

static void liar_release(void *context, void *buffer, uint64_t bytes)
{
    struct liar *liar = context;

    (void)bytes;
    liar->calls_after_last_map++;
    liar->live_buffers--;
    free(buffer);
}

static struct exit_firmware functions(struct liar *liar)
{
    return (struct exit_firmware){liar_map, liar_exit, liar_allocate, liar_release, liar};
}

static ps_status leave(struct liar *liar, struct exit_result *result)
{
    struct exit_firmware firmware = functions(liar);
    ps_status status = exit_prepare(&firmware, result);

    return status == PS_OK ? exit_boot_services(&firmware, result) : status;
}

/* A success is the newest key, a whole map, one buffer alive, and nothing in between. */
static void expect_success(struct test *test, struct liar *liar, unsigned exits)
{
    struct exit_result result;

    REQUIRE_OK(leave(liar, &result));
    EXPECT_EQ(result.exits, exits);
    EXPECT_EQ(liar->exits, exits);
    EXPECT_EQ(liar->key_of_exit, liar->key);
    EXPECT_EQ(result.stride, liar->stride);
    EXPECT_EQ(result.map_size, (liar->descriptors - liar->growth) * liar->stride);
    EXPECT(result.map_size <= result.buffer_size);
    EXPECT_EQ(((unsigned char *)result.map)[result.map_size - 1], 0x5a);
    EXPECT_EQ(liar->live_buffers, 1);
    EXPECT_EQ(liar->calls_after_last_map, 0);
    free(result.map);
}

static void an_honest_firmware_needs_one_exit(struct test *test)
{
    struct liar liar = honest();

    expect_success(test, &liar, 1);
}

static void stale_keys_are_retried(struct test *test)
{
    for (unsigned stale = 1; stale < EXIT_ATTEMPTS; stale++) {
        struct liar liar = honest();

        liar.stale_exits = stale;
        expect_success(test, &liar, stale + 1);
    }
}

static void a_firmware_that_never_lets_go_is_given_up(struct test *test)
{
    struct liar liar = honest();
    struct exit_result result;

    liar.stale_exits = UINT32_MAX;
    EXPECT_STATUS(leave(&liar, &result), PS_BAD_STATE);
    EXPECT_EQ(liar.exits, EXIT_ATTEMPTS);
    free(result.map);
}

static void a_map_that_grows_each_time_is_followed(struct test *test)
{
    for (uint64_t growth = 1; growth <= 64; growth++) {
        struct liar liar = honest();

        liar.growth = growth;
        liar.stale_exits = 20;
        expect_success(test, &liar, 21);
    }
}

static void slack_absorbs_small_growth_without_allocating(struct test *test)
{
    struct liar liar = honest();
    struct exit_firmware firmware = functions(&liar);
    struct exit_result result;

    REQUIRE_OK(exit_prepare(&firmware, &result));
    liar.growth = 1;
    liar.stale_exits = 20;
    liar.allocations_left = 0;
    EXPECT_OK(exit_boot_services(&firmware, &result));
    EXPECT_EQ(result.growths, 0);
    free(result.map);
}

static void every_stride_is_followed(struct test *test)
{
    static const uint64_t strides[] = {40, 48, 56, 64, 4096};

    for (size_t i = 0; i < PS_ARRAY_SIZE(strides); i++) {
        struct liar liar = honest();

        liar.stride = strides[i];
        liar.growth = 3;
        liar.stale_exits = 2;
        expect_success(test, &liar, 3);
    }
}

static void a_size_query_need_not_tell_the_stride(struct test *test)
{
    static const uint64_t strides[] = {40, 48, 56, 64, 4096};

    for (size_t i = 0; i < PS_ARRAY_SIZE(strides); i++) {
        struct liar liar = honest();

        liar.stride = strides[i];
        liar.stride_only_with_map = true;
        expect_success(test, &liar, 1);
    }
}

static void a_firmware_that_does_not_tell_the_size_gets_larger_buffers(struct test *test)
{
    struct liar liar = honest();

    liar.size_not_told = true;
    expect_success(test, &liar, 1);
}

static void a_stride_that_cannot_be_is_refused(struct test *test)
{
    static const uint64_t strides[] = {8, 39, 41, 44, 4104, 8192};

    for (size_t i = 0; i < PS_ARRAY_SIZE(strides); i++) {
        struct liar liar = honest();
        struct exit_result result;

        liar.stride = strides[i];
        EXPECT_STATUS(leave(&liar, &result), PS_UNSUPPORTED);
        EXPECT_EQ(result.stride, strides[i]);
        EXPECT_EQ(liar.exits, 0);
        free(result.map);
    }
}

static void no_memory_for_the_map_is_told(struct test *test)
{
    struct liar liar = honest();
    struct exit_result result;

    liar.allocations_left = 0;
    EXPECT_STATUS(leave(&liar, &result), PS_NO_MEMORY);
    EXPECT_EQ(liar.exits, 0);

    liar = honest();
    liar.allocations_left = 1;
    liar.growth = 40;
    EXPECT_STATUS(leave(&liar, &result), PS_NO_MEMORY);
    EXPECT_EQ(liar.exits, 0);
    free(result.map);
}

static void errors_of_the_firmware_end_the_attempt(struct test *test)
{
    struct liar liar = honest();
    struct exit_result result;

    liar.map_fails = EXIT_ANSWER_ERROR;
    EXPECT_STATUS(leave(&liar, &result), PS_UNSUPPORTED);

    liar = honest();
    liar.exit_fails = EXIT_ANSWER_ERROR;
    EXPECT_STATUS(leave(&liar, &result), PS_UNSUPPORTED);
    EXPECT_EQ(liar.exits, 1);
    free(result.map);
}

static const struct test_case cases[] = {
    TEST_CASE(an_honest_firmware_needs_one_exit),
    TEST_CASE(stale_keys_are_retried),
    TEST_CASE(a_firmware_that_never_lets_go_is_given_up),
    TEST_CASE(a_map_that_grows_each_time_is_followed),
    TEST_CASE(slack_absorbs_small_growth_without_allocating),
    TEST_CASE(every_stride_is_followed),
    TEST_CASE(a_size_query_need_not_tell_the_stride),
    TEST_CASE(a_firmware_that_does_not_tell_the_size_gets_larger_buffers),
    TEST_CASE(a_stride_that_cannot_be_is_refused),
    TEST_CASE(no_memory_for_the_map_is_told),
    TEST_CASE(errors_of_the_firmware_end_the_attempt),
};
const struct test_suite suite_exit_boot = TEST_SUITE("exit_boot", cases);
