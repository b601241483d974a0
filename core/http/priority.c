/* Dictionaries of structured fields (RFC 8941 §4.2.2), as far as a Priority field needs them: all is checked, two members
 * are understood. */
#include "http/priority.h"

#include <string.h>

#define INTEGER_DIGITS 15u /* RFC 8941 §4.2.4 */
#define WHOLE_DIGITS 12u   /* of a decimal, */
#define DECIMAL_DIGITS 3u  /* and behind its point */

enum item_type { ITEM_OTHER, ITEM_INTEGER, ITEM_BOOLEAN };

/* A bare item; `value` of the two types that matter. */
struct item {
    enum item_type type;
    int64_t value;
};

/* The rest of the text. */
struct text {
    const uint8_t *at, *end;
};

static bool is_at(const struct text *t, uint8_t byte)
{
    return t->at < t->end && *t->at == byte;
}

static bool take(struct text *t, uint8_t byte)
{
    bool is_there = is_at(t, byte);

    t->at += is_there;
    return is_there;
}

static void skip_spaces(struct text *t)
{
    while (take(t, ' '))
        ;
}

/* Optional white space (RFC 9110 §5.6.3). */
static void skip_white_space(struct text *t)
{
    while (take(t, ' ') || take(t, '\t'))
        ;
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_lower(uint8_t byte)
{
    return byte >= 'a' && byte <= 'z';
}

static bool is_alpha(uint8_t byte)
{
    return is_lower(byte | 0x20);
}

static bool is_one_of(uint8_t byte, const char *bytes)
{
    return byte != 0 && strchr(bytes, byte) != NULL;
}

/* RFC 8941 §4.2.3.3. */
static bool read_key(struct text *t, struct span *out)
{
    const uint8_t *start = t->at;

    if (t->at == t->end || !(is_lower(*t->at) || *t->at == '*'))
        return false;
    while (t->at < t->end && (is_lower(*t->at) || is_digit(*t->at) || is_one_of(*t->at, "_-.*")))
        t->at++;
    *out = span_of(start, (size_t)(t->at - start));
    return true;
}

static size_t read_digits(struct text *t, int64_t *value)
{
    const uint8_t *start = t->at;

    for (; t->at < t->end && is_digit(*t->at) && (size_t)(t->at - start) <= INTEGER_DIGITS; t->at++)
        *value = *value * 10 + (*t->at - '0');
    return (size_t)(t->at - start);
}

/* RFC 8941 §4.2.4. */
static bool read_number(struct text *t, struct item *out)
{
    bool is_negative = take(t, '-');
    int64_t behind = 0;

    out->value = 0;
    size_t digits = read_digits(t, &out->value);
    if (digits == 0 || digits > INTEGER_DIGITS)
        return false;
    if (take(t, '.')) {
        size_t decimals = read_digits(t, &behind);
        return digits <= WHOLE_DIGITS && decimals > 0 && decimals <= DECIMAL_DIGITS;
    }
    out->type = ITEM_INTEGER;
    if (is_negative)
        out->value = -out->value;
    return true;
}

/* RFC 8941 §4.2.5, behind the first quote. */
static bool read_string(struct text *t)
{
    while (t->at < t->end) {
        uint8_t byte = *t->at++;

        if (byte == '"')
            return true;
        if (byte == '\\' && !(take(t, '"') || take(t, '\\')))
            return false;
        if (byte < 0x20 || byte > 0x7e)
            return false;
    }
    return false;
}

/* RFC 8941 §4.2.6. */
static bool read_token(struct text *t)
{
    while (t->at < t->end && (is_alpha(*t->at) || is_digit(*t->at) || is_one_of(*t->at, "!#$%&'*+-.^_`|~:/")))
        t->at++;
    return true;
}

/* RFC 8941 §4.2.7, behind the first colon. */
static bool read_bytes(struct text *t)
{
    while (t->at < t->end && (is_alpha(*t->at) || is_digit(*t->at) || is_one_of(*t->at, "+/")))
        t->at++;
    while (take(t, '='))
        ;
    return take(t, ':');
}

/* RFC 8941 §4.2.3.1. */
static bool read_bare_item(struct text *t, struct item *out)
{
    *out = (struct item){.type = ITEM_OTHER};
    if (t->at == t->end)
        return false;
    if (*t->at == '-' || is_digit(*t->at))
        return read_number(t, out);
    if (*t->at == '*' || is_alpha(*t->at))
        return read_token(t);
    if (take(t, '"'))
        return read_string(t);
    if (take(t, ':'))
        return read_bytes(t);
    if (!take(t, '?'))
        return false;
    out->type = ITEM_BOOLEAN;
    out->value = is_at(t, '1');
    return take(t, '0') || take(t, '1');
}

/* RFC 8941 §4.2.3.2. */
static bool read_parameters(struct text *t)
{
    struct span key;
    struct item item;

    while (take(t, ';')) {
        skip_spaces(t);
        if (!read_key(t, &key) || (take(t, '=') && !read_bare_item(t, &item)))
            return false;
    }
    return true;
}

/* RFC 8941 §4.2.1.2, behind the first parenthesis. */
static bool read_inner_list(struct text *t)
{
    struct item item;

    for (;;) {
        skip_spaces(t);
        if (take(t, ')'))
            return true;
        if (!read_bare_item(t, &item) || !read_parameters(t) || !(is_at(t, ' ') || is_at(t, ')')))
            return false;
    }
}

static bool read_member(struct text *t, struct span *key, struct item *out)
{
    *out = (struct item){.type = ITEM_BOOLEAN, .value = 1};
    if (!read_key(t, key))
        return false;
    if (take(t, '=')) {
        bool is_list = take(t, '(');

        if (is_list)
            out->type = ITEM_OTHER;
        if (!(is_list ? read_inner_list(t) : read_bare_item(t, out)))
            return false;
    }
    return read_parameters(t);
}

/* The last of equal members counts, be it of no use (RFC 8941 §4.2.2). */
static void take_member(struct priority *p, struct span key, const struct item *item)
{
    if (key.size != 1)
        return;
    if (*key.data == 'u') {
        p->has_urgency = item->type == ITEM_INTEGER && item->value >= 0 && item->value <= 7;
        p->urgency = p->has_urgency ? (uint8_t)item->value : PRIORITY_URGENCY;
    } else if (*key.data == 'i') {
        p->has_incremental = item->type == ITEM_BOOLEAN;
        p->incremental = p->has_incremental && item->value;
    }
}

bool neap_priority_parse(struct span value, struct priority *p)
{
    struct text t = {value.data, value.data + value.size};
    struct priority said = *p;
    struct span key;
    struct item item;

    skip_spaces(&t);
    while (t.at < t.end) {
        if (!read_member(&t, &key, &item))
            return false;
        take_member(&said, key, &item);
        skip_white_space(&t);
        if (t.at == t.end)
            break;
        if (!take(&t, ','))
            return false;
        skip_white_space(&t);
        if (t.at == t.end)
            return false;
    }
    said.is_said = true;
    *p = said;
    return true;
}
