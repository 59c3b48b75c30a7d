#include "unit_suites.h"

const struct test_suite *const unit_suites[] = {
    /* the text, and the simulated machine */
    &suite_sink,
    &suite_sim_memory,
    &suite_mmu,
    /* the memory map */
    &suite_memory_map,
    &suite_memory_map_change,
    &suite_memory_map_export,
    &suite_memory_map_random,
    &suite_memory_map_real,
    /* the frame pool */
    &suite_zero,
    &suite_frame_pool,
    &suite_frame_pool_books,
    &suite_frame_pool_check,
    &suite_frame_pool_report,
    &suite_frame_pool_failure,
    &suite_frame_pool_layout,
    &suite_frame_pool_model,
    &suite_frame_pool_order,
    &suite_frame_pool_unit,
    &suite_frame_pool_share,
    &suite_frame_pool_loan,
    &suite_frame_pool_promise,
    &suite_frame_pool_promise_kept,
    &suite_frame_pool_watch,
    &suite_frame_pool_fill,
    &suite_frame_pool_quarantine,
    &suite_frame_pool_exclusive,
    &suite_frame_pool_corner,
    /* page tables */
    &suite_entry,
    &suite_tlb,
    &suite_page_table,
    &suite_page_table_leaf,
    &suite_page_table_promote,
    &suite_page_table_change,
    &suite_page_table_upgrade,
    &suite_page_table_retire,
    &suite_page_table_round,
    &suite_page_table_harvest,
    &suite_page_table_space,
    &suite_page_table_check,
    &suite_page_table_failure,
    &suite_page_table_model,
    /* the virtual allocator */
    &suite_virtual_allocator,
    &suite_virtual_check,
    &suite_virtual_failure,
    &suite_virtual_layout,
    &suite_virtual_model,
    /* the stage */
    &suite_stage_unit,
    &suite_stage_failure,
    &suite_stage_memory,
    /* the way out of the firmware */
    &suite_exit_boot,
    /* what the application reads and shows */
    &suite_config,
    &suite_fw_cfg,
    &suite_identity,
    &suite_acpi,
    &suite_serial,
    &suite_report,
    &suite_screen,
    &suite_screen_area,
    &suite_memory_strip,
    &suite_display,
};

const size_t unit_suite_count = PS_ARRAY_SIZE(unit_suites);
