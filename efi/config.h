/*
 * What the user wants of this run.
 *
 * Settings are pairs of key and value. They come from a file on the stick, from the load
 * options and from QEMU's fw_cfg; every later source overrides the earlier ones. A key or
 * value that is not known, or a line that is too long, is told to a sink with its place
 * and otherwise ignored: a typing mistake never keeps the machine from being tested.
 *
 * esp/pagestage.conf lists all keys with their values; config_defaults() is what holds
 * where nothing is said.
 */
#ifndef EFI_CONFIG_H
#define EFI_CONFIG_H

#include <pagestage/sink.h>

enum {
    CONFIG_LINE_SIZE = 256, /* longest line or word, with its terminating zero */
    CONFIG_DEATH_SIZE = 32,
    CONFIG_COMPLAINT_LIMIT = 16 /* of one source; then one line says that there are more */
};

enum config_end {
    CONFIG_END_POWER_OFF,
    CONFIG_END_RESET,
    CONFIG_END_HALT,
    CONFIG_END_WATCH, /* validate the page tables again and again until they are damaged */
};

enum config_log {
    CONFIG_LOG_NORMAL,
    CONFIG_LOG_VERBOSE, /* dumps of all layers, too */
};

struct config {
    char suites[CONFIG_LINE_SIZE]; /* patterns, separated by commas; see config_wants() */
    uint64_t seed;                 /* of the random cases */
    uint32_t repeat;               /* how often every case runs, each time with the next seed */
    uint32_t operations;           /* of the long random case; 0: as many as fit in a second */
    uint32_t deadline;             /* seconds for one case; 0: no limit */
    uint32_t processors;           /* at most; 0: all */
    uint32_t mute;                 /* number of one that is not called when it is started; or 0 */
    enum config_end end;
    bool end_is_chosen; /* somebody said so; see settings.c */
    enum config_log log;
    uint8_t levels;                /* of our page tables: 4, 5, or 0: as the firmware left it */
    char death[CONFIG_DEATH_SIZE]; /* how to die on purpose, for tests of the runner; "" */
    bool wait;                     /* for a debugger, before the first case */
    uint32_t complaints;           /* how many things were not understood, of all sources */
};

void config_defaults(struct config *config);

/*
 * A file of lines `key = value`. '#' starts a comment, blanks around words and a pair of
 * quotes around the value are dropped. UTF-8, UTF-16 in both orders (with a byte order mark
 * or recognised by its zeros); lines end with LF, CR LF or CR. Complaints read
 * `name:line: what`. Any bytes are safe.
 */
void config_parse_file(struct config *config, const char *name, const void *data, size_t size,
                       const struct ps_sink *complaints);

/*
 * One line of words `key=value` as the UEFI shell or a boot entry passes it: UTF-16 or
 * bytes, ends at the first zero. Quotes keep blanks inside a word. A first word without
 * '=' is the name of the program.
 */
void config_parse_options(struct config *config, const void *data, size_t size,
                          const struct ps_sink *complaints);

/* One setting; `source` is named in a complaint. */
void config_set(struct config *config, const char *source, const char *key, const char *value,
                const struct ps_sink *complaints);

/*
 * Does the filter let a case through? A pattern is a suite ("frame_pool"), a suite and
 * part of a case's name up to a slash ("frame_pool/claim"), or the beginning of a full name
 * with a star at the end ("frame_pool/claim_*"; "*" is everything).
 */
bool config_wants(const struct config *config, const char *suite, const char *name);

/* The word for the levels that were asked for. */
const char *config_levels(const struct config *config);

/* All settings as one JSON object on one line, without a line end. */
void config_print(const struct config *config, const struct ps_sink *sink);

#endif
