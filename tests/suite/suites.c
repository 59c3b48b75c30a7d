#include "world.h"

extern const struct test_suite suite_frame_pool_live;
extern const struct test_suite suite_frame_scarcity;
extern const struct test_suite suite_access;
extern const struct test_suite suite_page_table_live;
extern const struct test_suite suite_cache_types_live;
extern const struct test_suite suite_virtual_live;
extern const struct test_suite suite_virtual_own;
extern const struct test_suite suite_virtual_random;

const struct test_suite *const suites[] = {
    &suite_frame_pool_live,  &suite_frame_scarcity, &suite_access,      &suite_page_table_live,
    &suite_cache_types_live, &suite_virtual_live,   &suite_virtual_own, &suite_virtual_random,
};

const size_t suite_count = PS_ARRAY_SIZE(suites);
