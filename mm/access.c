#include <pagestage/access.h>

struct ps_attr_text ps_attr_text(ps_attr_t attr)
{
    static const char caches[PS_CACHE_COUNT][4] = {"WB", "WT", "UC-", "UC", "WP", "WC"};
    static const char letters[] = "rwxug";
    struct ps_attr_text text = {"-----", "?"};

    for (unsigned bit = 0; bit < 5; bit++)
        if ((attr.access & (1u << bit)) != 0)
            text.access[bit] = letters[bit];
    if (attr.cache < PS_CACHE_COUNT)
        for (unsigned i = 0; i < sizeof(text.cache); i++)
            text.cache[i] = caches[attr.cache][i];
    return text;
}
