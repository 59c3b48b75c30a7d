/*
 * Included before every source of the tests with more threads than processors: who waits for a
 * lock lets its holder run.
 */
#ifndef TESTS_THREADS_PAUSE_H
#define TESTS_THREADS_PAUSE_H

void crew_pause(void);

#define __builtin_ia32_pause crew_pause

#endif
