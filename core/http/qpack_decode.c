/* Field sections (RFC 9204 §4.5) and the peer's encoder stream (§4.3). */
#include "base/limits.h"
#include "base/pool.h"
#include "base/reader.h"
#include "http/huffman.h"
#include "http/qpack.h"
#include "http/qpack_static.h"

#define FIRST_CAPACITY 16u
#define FIRST_TEXT 512u
#define KEPT_CAPACITY 64u /* what is larger goes with its section */
#define KEPT_TEXT 2048u
#define LINE_OVERHEAD 32u         /* RFC 9114 §4.2.2 */
#define INTEGER_CONTINUATION 9u   /* bytes behind the prefix that 62 bits can need */
#define SET_CAPACITY_TO_ZERO 0x20 /* the only instruction that a table of capacity 0 bears */

enum line_bits { /* RFC 9204 §4.5.2 to §4.5.6 */
                 LINE_INDEXED = 0x80,
                 LINE_INDEXED_STATIC = 0x40,
                 LINE_NAME_REFERENCE = 0x40,
                 LINE_NAME_REFERENCE_NEVER = 0x20,
                 LINE_NAME_REFERENCE_STATIC = 0x10,
                 LINE_LITERAL_NAME = 0x20,
                 LINE_LITERAL_NAME_NEVER = 0x10,
};

struct decoding {
    struct field_list *list;
    struct pool *pool;
    struct reader in;
    uint64_t left; /* of the size that the section may have */
    size_t text_used;
    struct failure *why;
};

static int fail_decompression(struct decoding *d, const char *reason)
{
    return neap_fail(d->why, NEAP_QPACK_DECOMPRESSION_FAILED, reason);
}

static int fail_limit(struct decoding *d)
{
    return neap_fail(d->why, NEAP_ERR_LIMIT, "field section too large");
}

/* An integer whose prefix is the lowest `bits` bits of `first` (RFC 9204 §4.1.1): at most 62 bits in 10 bytes. */
static uint64_t read_integer(struct reader *r, uint8_t first, unsigned bits)
{
    uint64_t mask = (1u << bits) - 1;
    uint64_t value = first & mask;

    if (value < mask)
        return value;
    for (unsigned i = 0; i < INTEGER_CONTINUATION; i++) {
        uint8_t byte = read_u8(r);
        value += (uint64_t)(byte & 0x7f) << (7 * i);
        if (value > VARINT_MAX)
            break;
        if (!(byte & 0x80))
            return value;
    }
    r->bad = true;
    return 0;
}

/* A string whose length has a prefix of `bits` bits in `first`, below the Huffman bit. */
static int read_string(struct decoding *d, uint8_t first, unsigned bits, struct span *out)
{
    struct span raw = read_bytes(&d->in, read_integer(&d->in, first, bits));
    uint8_t *room = d->list->text + d->text_used;

    if (d->in.bad)
        return fail_decompression(d, "truncated string");
    if (first >> bits & 1) {
        size_t size = d->list->text_capacity - d->text_used;
        struct writer w = writer_of(room, d->left < size ? (size_t)d->left : size);
        if (!neap_huffman_decode(&w, raw))
            return w.full ? fail_limit(d) : fail_decompression(d, "invalid Huffman code");
        *out = span_of(room, writer_size(&w));
    } else {
        if (raw.size > d->left)
            return fail_limit(d);
        if (raw.size)
            memcpy(room, raw.data, raw.size);
        *out = span_of(room, raw.size);
    }
    d->text_used += out->size;
    d->left -= out->size;
    return NEAP_OK;
}

static int read_value(struct decoding *d, struct span *out)
{
    uint8_t first = read_u8(&d->in);

    if (d->in.bad)
        return fail_decompression(d, "field line without value");
    return read_string(d, first, 7, out);
}

static int get_static(struct decoding *d, uint64_t index, struct span *name, struct span *value)
{
    if (d->in.bad)
        return fail_decompression(d, "truncated index");
    if (!neap_qpack_static_get(index, name, value))
        return fail_decompression(d, "no such static entry");
    return NEAP_OK;
}

static int charge(struct decoding *d, size_t size)
{
    if (size > d->left)
        return fail_limit(d);
    d->left -= size;
    return NEAP_OK;
}

/* One field line; every form that refers to the dynamic table is refused. */
static int read_line(struct decoding *d, struct span *name, struct span *value, bool *never_indexed)
{
    uint8_t first = read_u8(&d->in);
    int err;

    *never_indexed = false;
    if ((err = charge(d, LINE_OVERHEAD)) != 0)
        return err;
    if (first & LINE_INDEXED) {
        if (!(first & LINE_INDEXED_STATIC))
            return fail_decompression(d, "reference to the dynamic table");
        err = get_static(d, read_integer(&d->in, first, 6), name, value);
        return err ? err : charge(d, name->size + value->size);
    }
    if (first & LINE_NAME_REFERENCE) {
        struct span unused;
        if (!(first & LINE_NAME_REFERENCE_STATIC))
            return fail_decompression(d, "name in the dynamic table");
        *never_indexed = first & LINE_NAME_REFERENCE_NEVER;
        err = get_static(d, read_integer(&d->in, first, 4), name, &unused);
        err = err ? err : charge(d, name->size);
        return err ? err : read_value(d, value);
    }
    if (first & LINE_LITERAL_NAME) {
        *never_indexed = first & LINE_LITERAL_NAME_NEVER;
        err = read_string(d, first, 3, name);
        return err ? err : read_value(d, value);
    }
    return fail_decompression(d, "post-base reference to the dynamic table");
}

static int append(struct decoding *d, struct span name, struct span value, bool never_indexed)
{
    struct field_list *list = d->list;

    if (list->count == LIMIT_FIELDS)
        return neap_fail(d->why, NEAP_ERR_LIMIT, "too many field lines");
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? list->capacity * 2 : FIRST_CAPACITY;
        neap_field *moved = neap_pool_resize(d->pool, list->fields, list->capacity * sizeof(*moved),
                                             capacity * sizeof(*moved));
        if (!moved)
            return neap_fail(d->why, NEAP_ERR_NO_MEMORY, "no memory for fields");
        list->fields = moved;
        list->capacity = capacity;
    }
    list->fields[list->count++] = (neap_field){
        .name = (const char *)name.data,
        .value = (const char *)value.data,
        .name_size = name.size,
        .value_size = value.size,
        .never_indexed = never_indexed,
    };
    return NEAP_OK;
}

/* The prefix (RFC 9204 §4.5.1): without a dynamic table the Required Insert Count is 0, and then the sign bit would make
 * Base negative. */
static int read_prefix(struct decoding *d)
{
    uint64_t insert_count = read_integer(&d->in, read_u8(&d->in), 8);
    uint8_t first = read_u8(&d->in);

    read_integer(&d->in, first, 7);
    if (d->in.bad)
        return fail_decompression(d, "truncated section prefix");
    if (insert_count != 0)
        return fail_decompression(d, "section needs the dynamic table");
    if (first & 0x80)
        return fail_decompression(d, "negative Base");
    return NEAP_OK;
}

static int decode(struct decoding *d)
{
    int err = read_prefix(d);

    while (err == 0 && reader_left(&d->in) > 0) {
        struct span name, value;
        bool never_indexed;
        err = read_line(d, &name, &value, &never_indexed);
        if (err == 0)
            err = append(d, name, value, never_indexed);
    }
    return err;
}

static bool reserve_text(struct field_list *list, struct pool *pool, size_t size)
{
    if (list->text && list->text_capacity >= size)
        return true;
    neap_field_list_free(list, pool);
    size = size > FIRST_TEXT ? size : FIRST_TEXT;
    list->text = neap_pool_alloc_unset(pool, size);
    list->text_capacity = list->text ? size : 0;
    return list->text != NULL;
}

int neap_qpack_decode(struct field_list *list, struct pool *pool, struct span section, uint64_t max_size,
                      struct failure *why)
{
    struct decoding d = {.list = list, .pool = pool, .in = reader_of(section), .left = max_size, .why = why};
    size_t room = huffman_decoded_max(section.size);

    /* Literals and what they decode to are all the text there can be; static entries need none. */
    if (!reserve_text(list, pool, room < max_size ? room : (size_t)max_size))
        return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for fields");
    int err = decode(&d);
    if (err)
        neap_field_list_free(list, pool);
    return err;
}

void neap_field_list_clear(struct field_list *list, struct pool *pool)
{
    if (list->capacity > KEPT_CAPACITY || list->text_capacity > KEPT_TEXT) {
        neap_field_list_free(list, pool);
        return;
    }
    if (list->cookie)
        neap_pool_free(pool, list->cookie, list->cookie_size);
    list->cookie = NULL;
    list->count = 0;
}

void neap_field_list_free(struct field_list *list, struct pool *pool)
{
    if (list->text)
        neap_pool_free(pool, list->text, list->text_capacity);
    if (list->cookie)
        neap_pool_free(pool, list->cookie, list->cookie_size);
    if (list->fields)
        neap_pool_free(pool, list->fields, list->capacity * sizeof(*list->fields));
    *list = (struct field_list){0};
}

int neap_qpack_on_encoder_stream(struct span bytes, size_t *count, struct failure *why)
{
    *count = bytes.size;
    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.data[i] == SET_CAPACITY_TO_ZERO)
            continue;
        bool is_capacity = (bytes.data[i] & 0xe0) == 0x20;
        return neap_fail(why, NEAP_QPACK_ENCODER_STREAM_ERROR,
                         is_capacity ? "dynamic table capacity above the limit"
                                     : "insertion into no dynamic table");
    }
    return NEAP_OK;
}
