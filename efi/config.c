#include "config.h"

#include "report.h"

/* Where the text that is being read comes from. */
struct source {
    struct config *config;
    const struct ps_sink *complaints;
    const char *name;
    unsigned line; /* 0: the source has no lines */
    unsigned said; /* complaints so far */
};

/* ---- complaints ---- */

static void print_place(const struct source *source)
{
    if (source->line != 0)
        ps_print(source->complaints, "%s:%u: ", source->name, source->line);
    else
        ps_print(source->complaints, "%s: ", source->name);
}

/* True when there is still something to be said about this source; then the place is printed. */
static bool start_complaint(struct source *source)
{
    source->config->complaints++;
    source->said++;
    if (source->said > CONFIG_COMPLAINT_LIMIT + 1)
        return false;
    print_place(source);
    if (source->said <= CONFIG_COMPLAINT_LIMIT)
        return true;
    ps_print(source->complaints, "more like this, not listed\n");
    return false;
}

/* The text may hold anything: it is shown quoted and escaped. */
static void complain(struct source *source, const char *what, const char *text)
{
    if (!start_complaint(source))
        return;
    ps_print(source->complaints, "%s ", what);
    report_json_string(source->complaints, text);
    ps_print(source->complaints, "\n");
}

/* ---- text ---- */

static bool is_blank(char letter)
{
    return letter == ' ' || letter == '\t' || letter == '\r' || letter == '\n';
}

static bool is_same(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static size_t length_of(const char *text)
{
    size_t length = 0;

    while (text[length] != '\0')
        length++;
    return length;
}

/* False, and nothing copied, when it does not fit. */
static bool copy(char *to, size_t size, const char *from)
{
    size_t length = length_of(from);

    if (length >= size)
        return false;
    for (size_t i = 0; i <= length; i++)
        to[i] = from[i];
    return true;
}

/* Cut blanks off both ends, in place. */
static char *trim(char *text)
{
    size_t length;

    while (is_blank(*text))
        text++;
    length = length_of(text);
    while (length > 0 && is_blank(text[length - 1]))
        length--;
    text[length] = '\0';
    return text;
}

static char *unquote(char *text)
{
    size_t length = length_of(text);

    if (length < 2 || text[0] != '"' || text[length - 1] != '"')
        return text;
    text[length - 1] = '\0';
    return trim(text + 1);
}

/* ---- values ---- */

static bool digit_of(char letter, unsigned base, unsigned *digit)
{
    if (letter >= '0' && letter <= '9')
        *digit = (unsigned)(letter - '0');
    else if (letter >= 'a' && letter <= 'f')
        *digit = (unsigned)(letter - 'a') + 10;
    else if (letter >= 'A' && letter <= 'F')
        *digit = (unsigned)(letter - 'A') + 10;
    else
        return false;
    return *digit < base;
}

/* Decimal, or hexadecimal behind 0x. */
static bool read_number(const char *text, uint64_t limit, uint64_t *number)
{
    unsigned base = text[0] == '0' && text[1] == 'x' ? 16 : 10;
    unsigned digit;
    uint64_t value = 0;

    if (base == 16)
        text += 2;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (!digit_of(*text, base, &digit) || value > (limit - digit) / base)
            return false;
        value = value * base + digit;
    }
    *number = value;
    return true;
}

static bool read_number32(const char *text, uint32_t first, uint32_t last, uint32_t *number)
{
    uint64_t value;

    if (!read_number(text, last, &value) || value < first)
        return false;
    *number = (uint32_t)value;
    return true;
}

/* The place of `text` in `words`. */
static bool read_word(const char *text, const char *const *words, unsigned count, unsigned *place)
{
    for (unsigned i = 0; i < count; i++) {
        if (is_same(text, words[i])) {
            *place = i;
            return true;
        }
    }
    return false;
}

static const char *const end_words[] = {"power-off", "reset", "halt", "watch"};
static const char *const log_words[] = {"normal", "verbose"};
static const char *const levels_words[] = {"as-found", "4", "5"};
static const char *const bool_words[] = {"no", "yes"};

/* ---- keys ---- */

static bool is_name_letter(char letter)
{
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
           (letter >= '0' && letter <= '9') || letter == '_' || letter == '-' || letter == '/';
}

/* Only letters of names, commas, blanks, and stars that end a pattern. */
static bool set_suites(struct config *config, const char *value)
{
    bool ended = false;

    for (const char *at = value; *at != '\0'; at++) {
        if (*at == ',')
            ended = false;
        else if (!is_blank(*at) && (ended || (*at != '*' && !is_name_letter(*at))))
            return false;
        ended |= *at == '*';
    }
    return *value != '\0' && copy(config->suites, sizeof(config->suites), value);
}

static bool set_seed(struct config *config, const char *value)
{
    return read_number(value, UINT64_MAX, &config->seed);
}

static bool set_repeat(struct config *config, const char *value)
{
    return read_number32(value, 1, 1000000, &config->repeat);
}

static bool set_operations(struct config *config, const char *value)
{
    return read_number32(value, 0, UINT32_MAX, &config->operations);
}

static bool set_deadline(struct config *config, const char *value)
{
    return read_number32(value, 0, 3600, &config->deadline);
}

static bool set_processors(struct config *config, const char *value)
{
    return read_number32(value, 0, UINT32_MAX, &config->processors);
}

static bool set_mute(struct config *config, const char *value)
{
    return read_number32(value, 0, UINT32_MAX, &config->mute);
}

static bool set_end(struct config *config, const char *value)
{
    unsigned place;

    if (!read_word(value, end_words, PS_ARRAY_SIZE(end_words), &place))
        return false;
    config->end = (enum config_end)place;
    config->end_is_chosen = true;
    return true;
}

static bool set_log(struct config *config, const char *value)
{
    unsigned place;

    if (!read_word(value, log_words, PS_ARRAY_SIZE(log_words), &place))
        return false;
    config->log = (enum config_log)place;
    return true;
}

static bool set_levels(struct config *config, const char *value)
{
    static const uint8_t levels[] = {0, 4, 5};
    unsigned place;

    if (!read_word(value, levels_words, PS_ARRAY_SIZE(levels_words), &place))
        return false;
    config->levels = levels[place];
    return true;
}

/* Which kinds there are is known to those who die; here only the form is checked. */
static bool set_death(struct config *config, const char *value)
{
    for (const char *at = value; *at != '\0'; at++)
        if (!is_name_letter(*at))
            return false;
    return copy(config->death, sizeof(config->death), is_same(value, "none") ? "" : value);
}

static bool set_wait(struct config *config, const char *value)
{
    unsigned place;

    if (!read_word(value, bool_words, PS_ARRAY_SIZE(bool_words), &place))
        return false;
    config->wait = place != 0;
    return true;
}

static const struct key {
    const char *name;
    bool (*set)(struct config *config, const char *value);
    const char *accepts;
} keys[] = {
    {"suites", set_suites, "names separated by commas, a star only at the end of one"},
    {"seed", set_seed, "a number of 64 bits"},
    {"repeat", set_repeat, "1 to 1000000"},
    {"operations", set_operations, "a number of 32 bits; 0 is what fits in a second"},
    {"deadline", set_deadline, "0 to 3600 seconds"},
    {"processors", set_processors, "a number of 32 bits; 0 is all"},
    {"mute", set_mute, "the number of a processor; 0 is none"},
    {"end", set_end, "power-off, reset, halt, watch"},
    {"log", set_log, "normal, verbose"},
    {"levels", set_levels, "as-found, 4, 5"},
    {"death", set_death, "none, or the short name of a fault"},
    {"wait", set_wait, "yes, no"},
};

static void complain_of_value(struct source *source, const struct key *key, const char *value)
{
    if (!start_complaint(source))
        return;
    ps_print(source->complaints, "unknown value ");
    report_json_string(source->complaints, value);
    ps_print(source->complaints, " for %s (%s)\n", key->name, key->accepts);
}

static void set(struct source *source, const char *name, const char *value)
{
    for (size_t i = 0; i < PS_ARRAY_SIZE(keys); i++) {
        if (!is_same(name, keys[i].name))
            continue;
        if (!keys[i].set(source->config, value))
            complain_of_value(source, &keys[i], value);
        return;
    }
    complain(source, "unknown key", name);
}

/* "key = value", in place. */
static void set_from_text(struct source *source, char *text)
{
    char *equals = text;

    while (*equals != '\0' && *equals != '=')
        equals++;
    if (*equals == '\0') {
        complain(source, "no '=' in", text);
        return;
    }
    *equals = '\0';
    set(source, trim(text), unquote(trim(equals + 1)));
}

/* ---- characters ---- */

struct reader {
    const uint8_t *data;
    size_t size;
    size_t at;
    bool wide; /* two bytes a character ... */
    bool big;  /* ... the higher one first */
};

enum { END = -1, BYTE_ORDER_MARK = 0xfeff };

/* What cannot be part of a setting becomes '?': it is then reported with its line. */
static int next_letter(struct reader *reader)
{
    unsigned width = reader->wide ? 2 : 1;
    const uint8_t *at;
    unsigned letter;

    if (reader->size - reader->at < width)
        return END;
    at = reader->data + reader->at;
    reader->at += width;
    letter = !reader->wide ? at[0] : (unsigned)at[reader->big] | (unsigned)at[!reader->big] << 8;
    if (letter == '\0' || is_blank(letter < 128 ? (char)letter : '?'))
        return (int)letter;
    return letter < ' ' || letter > '~' ? '?' : (int)letter;
}

static bool starts_with(const struct reader *reader, unsigned a, unsigned b, unsigned c)
{
    return reader->size >= 3 && reader->data[0] == a && reader->data[1] == b &&
           reader->data[2] == c;
}

/* Text without a byte order mark is taken as wide when its first character looks so. */
static struct reader start_reading(const void *data, size_t size)
{
    struct reader reader = {.data = data, .size = size};
    unsigned first = size >= 2 ? reader.data[0] : 1;
    unsigned second = size >= 2 ? reader.data[1] : 1;

    if (starts_with(&reader, 0xef, 0xbb, 0xbf))
        reader.at = 3;
    else if (first == 0xff && second == 0xfe)
        reader.at = 2;
    else if (first == 0xfe && second == 0xff)
        reader.at = 2;
    reader.big = (first == 0xfe && second == 0xff) || (first == 0 && second != 0);
    reader.wide = reader.at == 2 || (first == 0) != (second == 0);
    return reader;
}

/* ---- files and options ---- */

/* Text being collected; what does not fit is left out. */
struct text {
    char letters[CONFIG_LINE_SIZE];
    size_t length;
    bool cut;
};

static void add(struct text *text, char letter)
{
    if (text->length + 1 < sizeof(text->letters))
        text->letters[text->length++] = letter;
    else
        text->cut |= !is_blank(letter);
}

/* Use up a collected line or word. */
static void take(struct source *source, struct text *text)
{
    char *start;

    text->letters[text->length] = '\0';
    start = trim(text->letters);
    if (text->cut)
        complain(source, "too long, cut after", start);
    if (*start != '\0')
        set_from_text(source, start);
    text->length = 0;
    text->cut = false;
}

void config_parse_file(struct config *config, const char *name, const void *data, size_t size,
                       const struct ps_sink *complaints)
{
    struct source source = {config, complaints, name, 1, 0};
    struct reader reader = start_reading(data, size);
    struct text text = {.length = 0};
    bool comment = false;
    int before = END;
    int letter;

    while ((letter = next_letter(&reader)) != END) {
        /* CR, LF and CR LF all end one line. */
        if (letter == '\r' || (letter == '\n' && before != '\r')) {
            take(&source, &text);
            comment = false;
            source.line++;
        } else if (letter != '\n') {
            comment |= letter == '#';
            if (!comment)
                add(&text, letter == '\0' ? '?' : (char)letter);
        }
        before = letter;
    }
    take(&source, &text);
}

static bool is_setting(const struct text *text)
{
    for (size_t i = 0; i < text->length; i++)
        if (text->letters[i] == '=')
            return true;
    return false;
}

void config_parse_options(struct config *config, const void *data, size_t size,
                          const struct ps_sink *complaints)
{
    struct source source = {config, complaints, "load options", 0, 0};
    struct reader reader = start_reading(data, size);
    struct text text = {.length = 0};
    bool quoted = false;
    bool first = true;
    int letter;

    do {
        letter = next_letter(&reader);
        if (letter == '"') {
            quoted = !quoted;
        } else if (letter != END && letter != '\0' && (quoted || !is_blank((char)letter))) {
            add(&text, (char)letter);
        } else if (text.length != 0) {
            if (first && !is_setting(&text))
                text = (struct text){.length = 0}; /* the program's name */
            first = false;
            take(&source, &text);
        }
    } while (letter != END && letter != '\0');
}

/* ---- the rest ---- */

void config_defaults(struct config *config)
{
    *config = (struct config){.suites = "*", .seed = 1, .repeat = 1, .deadline = 20};
}

void config_set(struct config *config, const char *source, const char *key, const char *value,
                const struct ps_sink *complaints)
{
    struct source place = {config, complaints, source, 0, 0};
    struct text text = {.length = 0};

    while (*value != '\0')
        add(&text, *value++);
    text.letters[text.length] = '\0';
    if (text.cut)
        complain(&place, "too long, cut after", text.letters);
    set(&place, key, unquote(trim(text.letters)));
}

/* One character of "suite/name". */
static char full_name_at(const char *suite, const char *name, size_t place)
{
    size_t length = length_of(suite);

    if (place < length)
        return suite[place];
    return place == length ? '/' : name[place - length - 1];
}

static bool matches(const char *pattern, size_t length, const char *suite, const char *name)
{
    char after;

    for (size_t i = 0; i < length; i++) {
        if (pattern[i] == '*')
            return true; /* set_suites() lets a star only stand at the end */
        if (full_name_at(suite, name, i) != pattern[i])
            return false;
    }
    after = full_name_at(suite, name, length);
    return length != 0 && (after == '\0' || after == '/');
}

bool config_wants(const struct config *config, const char *suite, const char *name)
{
    const char *at = config->suites;

    while (*at != '\0') {
        size_t length = 0;

        while (at[length] != '\0' && at[length] != ',' && !is_blank(at[length]))
            length++;
        if (matches(at, length, suite, name))
            return true;
        at += length;
        while (*at == ',' || is_blank(*at))
            at++;
    }
    return false;
}

const char *config_levels(const struct config *config)
{
    return levels_words[config->levels == 0 ? 0 : config->levels - 3];
}

void config_print(const struct config *config, const struct ps_sink *sink)
{
    ps_print(sink, "{\"suites\":");
    report_json_string(sink, config->suites);
    ps_print(sink, ",\"seed\":%" PS_PRIu ",\"repeat\":%u", config->seed, config->repeat);
    ps_print(sink, ",\"operations\":%u,\"deadline\":%u", config->operations, config->deadline);
    ps_print(sink, ",\"processors\":%u,\"mute\":%u", config->processors, config->mute);
    ps_print(sink,
             ",\"end\":\"%s\",\"log\":\"%s\",\"levels\":\"%s\",\"death\":", end_words[config->end],
             log_words[config->log], config_levels(config));
    report_json_string(sink, config->death);
    ps_print(sink, ",\"wait\":%s}", config->wait ? "true" : "false");
}
