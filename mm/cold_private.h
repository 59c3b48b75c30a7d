/*
 * What is rarely called in a file that is compiled for speed: the compiler makes it small, and
 * expects no branch to lead there.
 */
#ifndef PS_COLD_PRIVATE_H
#define PS_COLD_PRIVATE_H

#ifdef __clang__
#define PS_COLD __attribute__((cold, minsize))
#else
#define PS_COLD __attribute__((cold))
#endif

#endif
