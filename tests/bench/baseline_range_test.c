/*
 * The baselines of the range tree do what they should: random calls, compared with one place a
 * number that says which range is there.
 */
#include <stdlib.h>
#include <string.h>

#include "harness/test.h"
#include "page_test.h"
#include "range_baseline.h"

enum { NUMBERS = 4000, STEPS = 20000 };

/* The first number of the range at each number, plus 1; 0: none. */
static uint32_t owner[NUMBERS];
static uint64_t value[NUMBERS];

static uint64_t last_of(uint64_t first)
{
    uint64_t last = first;

    while (last + 1 < NUMBERS && owner[last + 1] == first + 1)
        last++;
    return last;
}

static void own(uint64_t first, uint64_t last, uint64_t with)
{
    for (uint64_t i = first; i <= last; i++) {
        owner[i] = (uint32_t)first + 1;
        value[i] = with;
    }
}

static void try_insert(struct test *test, const struct range_candidate *one, void *self,
                       struct test_random *random)
{
    uint64_t first = test_random_below(random, NUMBERS);
    uint64_t last = first;
    uint64_t length = 1 + test_random_below(random, 12);
    struct ps_range range;

    while (last + 1 < NUMBERS && last - first + 1 < length && owner[last + 1] == 0)
        last++;
    if (owner[first] != 0)
        return;
    range = (struct ps_range){first, last, first * 7};
    EXPECT(one->insert(self, &range));
    own(first, last, range.value);
}

static void try_erase(struct test *test, const struct range_candidate *one, void *self,
                      struct test_random *random)
{
    uint64_t number = test_random_below(random, NUMBERS);
    struct ps_range erased = {0};
    bool begins = owner[number] == number + 1;

    EXPECT(one->erase(self, number, &erased) == begins);
    if (!begins)
        return;
    EXPECT_EQ(erased.last, last_of(number));
    EXPECT_EQ(erased.value, value[number]);
    for (uint64_t i = number; i <= erased.last; i++)
        owner[i] = 0;
}

static void try_cut(struct test *test, const struct range_candidate *one, void *self,
                    struct test_random *random)
{
    uint64_t number = test_random_below(random, NUMBERS);
    uint64_t first = owner[number] - (owner[number] != 0);
    struct ps_range whole;
    struct ps_range middle;

    if (owner[number] == 0 || last_of(first) - first < 2)
        return;
    whole = (struct ps_range){first, last_of(first), value[first]};
    middle = (struct ps_range){first + 1, whole.last - 1, 5};
    EXPECT(one->cut(self, &middle));
    EXPECT(one->find(self, middle.last, &middle));
    EXPECT_EQ(middle.first, first + 1);
    EXPECT_EQ(middle.value, 5);
    if (test_random_below(random, 2) == 0) {
        EXPECT(one->join(self, &whole));
        return;
    }
    own(first, first, whole.value);
    own(middle.first, middle.last, 5);
    own(whole.last, whole.last, whole.value);
}

static void compare(struct test *test, const struct range_candidate *one, void *self)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < NUMBERS; i++) {
        struct ps_range range = {0};

        EXPECT(one->find(self, i, &range) == (owner[i] != 0));
        if (owner[i] == 0)
            continue;
        EXPECT_EQ(range.first, owner[i] - 1);
        EXPECT_EQ(range.value, value[i]);
        if (range.first == i) {
            EXPECT_EQ(range.last, last_of(i));
            sum += range.value;
        }
    }
    EXPECT_EQ(one->sum(self), sum);
}

static void play(struct test *test, const struct range_candidate *one)
{
    struct test_random random = test_random(1);
    void *self = one->open(4 * NUMBERS);

    REQUIRE(self != NULL);
    memset(owner, 0, sizeof(owner));
    for (unsigned step = 0; step < STEPS && test->failures == 0; step++) {
        uint64_t choice = test_random_below(&random, 4);

        if (choice < 2)
            (step / 4000 % 2 == 0 ? try_insert : try_erase)(test, one, self, &random);
        else if (choice == 2)
            try_erase(test, one, self, &random);
        else
            try_cut(test, one, self, &random);
        if (step % 500 == 0)
            compare(test, one, self);
    }
    compare(test, one, self);
    one->empty(self);
    EXPECT_EQ(one->bytes(self), 0);
    EXPECT_EQ(one->sum(self), 0);
    one->close(self);
}

static void a_binary_tree_of_ranges_holds_what_it_should(struct test *test)
{
    play(test, &baseline_range_binary);
}

static void a_tree_of_nodes_of_ranges_holds_what_it_should(struct test *test)
{
    play(test, &baseline_range_nodes);
}

static const struct test_case cases[] = {
    TEST_CASE(a_binary_tree_of_ranges_holds_what_it_should),
    TEST_CASE(a_tree_of_nodes_of_ranges_holds_what_it_should),
};

const struct test_suite range_baseline_suite = TEST_SUITE("range_baseline", cases);
