/* The suites that run on the host only, each from one file of this folder. */
#ifndef TESTS_UNIT_UNIT_SUITES_H
#define TESTS_UNIT_UNIT_SUITES_H

#include "harness/test.h"

extern const struct test_suite suite_address_arena;
extern const struct test_suite suite_address_arena_check;
extern const struct test_suite suite_address_arena_failure;
extern const struct test_suite suite_address_arena_layout;
extern const struct test_suite suite_address_arena_model;
extern const struct test_suite suite_cells;
extern const struct test_suite suite_config;
extern const struct test_suite suite_display;
extern const struct test_suite suite_cache_types;
extern const struct test_suite suite_entry;
extern const struct test_suite suite_exit_boot;
extern const struct test_suite suite_frame_pool;
extern const struct test_suite suite_frame_pool_books;
extern const struct test_suite suite_frame_pool_check;
extern const struct test_suite suite_frame_pool_corner;
extern const struct test_suite suite_frame_pool_exclusive;
extern const struct test_suite suite_frame_pool_failure;
extern const struct test_suite suite_frame_pool_fill;
extern const struct test_suite suite_frame_pool_layout;
extern const struct test_suite suite_frame_pool_loan;
extern const struct test_suite suite_frame_pool_promise;
extern const struct test_suite suite_frame_pool_promise_kept;
extern const struct test_suite suite_frame_pool_model;
extern const struct test_suite suite_frame_pool_order;
extern const struct test_suite suite_frame_pool_quarantine;
extern const struct test_suite suite_frame_pool_report;
extern const struct test_suite suite_frame_pool_share;
extern const struct test_suite suite_frame_pool_unit;
extern const struct test_suite suite_frame_pool_watch;
extern const struct test_suite suite_fw_cfg;
extern const struct test_suite suite_identity;
extern const struct test_suite suite_acpi;
extern const struct test_suite suite_memory_map;
extern const struct test_suite suite_memory_map_change;
extern const struct test_suite suite_memory_map_export;
extern const struct test_suite suite_memory_map_random;
extern const struct test_suite suite_memory_map_real;
extern const struct test_suite suite_memory_strip;
extern const struct test_suite suite_mmu;
extern const struct test_suite suite_page_table;
extern const struct test_suite suite_page_table_change;
extern const struct test_suite suite_page_table_check;
extern const struct test_suite suite_page_table_corner;
extern const struct test_suite suite_page_table_dirty;
extern const struct test_suite suite_page_table_failure;
extern const struct test_suite suite_page_table_harvest;
extern const struct test_suite suite_page_table_leaf;
extern const struct test_suite suite_page_table_neighbour;
extern const struct test_suite suite_page_table_promote;
extern const struct test_suite suite_page_table_types;
extern const struct test_suite suite_page_table_model;
extern const struct test_suite suite_page_table_retire;
extern const struct test_suite suite_page_table_round;
extern const struct test_suite suite_page_table_space;
extern const struct test_suite suite_page_table_typed;
extern const struct test_suite suite_page_table_upgrade;
extern const struct test_suite suite_range_tree;
extern const struct test_suite suite_range_tree_change;
extern const struct test_suite suite_range_tree_check;
extern const struct test_suite suite_range_tree_failure;
extern const struct test_suite suite_range_tree_gap;
extern const struct test_suite suite_range_tree_model;
extern const struct test_suite suite_report;
extern const struct test_suite suite_screen;
extern const struct test_suite suite_screen_area;
extern const struct test_suite suite_serial;
extern const struct test_suite suite_sim_memory;
extern const struct test_suite suite_sink;
extern const struct test_suite suite_stage_failure;
extern const struct test_suite suite_stage_memory;
extern const struct test_suite suite_stage_unit;
extern const struct test_suite suite_tlb;
extern const struct test_suite suite_virtual_allocator;
extern const struct test_suite suite_virtual_check;
extern const struct test_suite suite_virtual_debug;
extern const struct test_suite suite_virtual_failure;
extern const struct test_suite suite_virtual_large;
extern const struct test_suite suite_virtual_layout;
extern const struct test_suite suite_virtual_look;
extern const struct test_suite suite_virtual_request;
extern const struct test_suite suite_virtual_resize;
extern const struct test_suite suite_virtual_round;
extern const struct test_suite suite_virtual_scenario;
extern const struct test_suite suite_virtual_space;
extern const struct test_suite suite_virtual_model;
extern const struct test_suite suite_zero;

/* All of the above, in the order of the layers: unit_suites.c. */
extern const struct test_suite *const unit_suites[];
extern const size_t unit_suite_count;

#endif
