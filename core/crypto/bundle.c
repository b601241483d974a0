/* A system trusts 150 authorities, of which a connection needs one. Their certificates stay in the file; 48 bytes of each are
 * kept. The file stays open, so that it may be replaced by another meanwhile. */
#include "crypto/bundle.h"

#include "base/limits.h"
#include "base/pool.h"
#include "neap.h"

#define FIRST_ENTRIES 64u

static void hash_subject(struct span subject, uint8_t out[8])
{
    uint8_t digest[32];

    neap_hash(HASH_SHA256, subject, digest);
    memcpy(out, digest, 8);
}

static int add_entry(struct pool *pool, struct root_bundle *bundle, const struct root_entry *entry)
{
    if (bundle->count >= LIMIT_TRUSTED_ROOTS)
        return NEAP_ERR_LIMIT;
    struct root_entry *entries = neap_pool_grow(pool, bundle->entries, &bundle->capacity, bundle->count + 1,
                                                sizeof *entries, FIRST_ENTRIES);
    if (!entries)
        return NEAP_ERR_NO_MEMORY;
    bundle->entries = entries;
    bundle->entries[bundle->count++] = *entry;
    return 0;
}

/* One block. What is no certificate is passed over. */
static int index_block(struct pool *pool, struct root_bundle *bundle, struct span text, struct span body)
{
    struct root_entry entry = {.offset = (uint32_t)(body.data - text.data), .size = (uint32_t)body.size};
    struct certificate root;
    struct span der;
    int rc = neap_pem_decode(pool, body, &der);

    if (rc <= 0)
        return rc == NEAP_ERR_NO_MEMORY ? rc : 0;
    rc = 0;
    if (neap_certificate_parse(der, &root) == 0) {
        hash_subject(root.subject, entry.subject);
        neap_hash(HASH_SHA256, der, entry.digest);
        rc = add_entry(pool, bundle, &entry);
    }
    neap_certificate_release(pool, der);
    return rc;
}

/* There will be no more. Without memory for that it stays as large as it is. */
static void shrink(struct pool *pool, struct root_bundle *bundle)
{
    size_t size = bundle->count * sizeof *bundle->entries;
    struct root_entry *exact = size ? neap_pool_alloc_lasting(pool, size) : NULL;

    if (!exact)
        return;
    memcpy(exact, bundle->entries, size);
    neap_pool_free(pool, bundle->entries, bundle->capacity * sizeof *bundle->entries);
    bundle->entries = exact;
    bundle->capacity = bundle->count;
}

int neap_bundle_index(struct pool *pool, struct root_bundle *bundle, struct span text, struct failure *why)
{
    struct span rest = text, label, body;

    if (text.size > UINT32_MAX)
        return neap_fail(why, NEAP_ERR_LIMIT, "too many root certificates");
    while (neap_pem_next(&rest, &label, &body)) {
        int rc = span_equal(label, span_of_string("CERTIFICATE")) ? index_block(pool, bundle, text, body) : 0;

        if (rc == NEAP_ERR_LIMIT)
            return neap_fail(why, rc, "too many root certificates");
        if (rc)
            return neap_fail(why, rc, "no memory for root certificates");
    }
    shrink(pool, bundle);
    return bundle->count ? 0
                         : neap_fail(why, NEAP_ERR_CERTIFICATE, "there is no certificate that can be parsed");
}

void neap_bundle_free(struct pool *pool, struct root_bundle *bundle)
{
    if (bundle->source.release)
        bundle->source.release(bundle->source.context);
    neap_pool_free(pool, bundle->entries, bundle->capacity * sizeof *bundle->entries);
    *bundle = (struct root_bundle){0};
}

bool neap_bundle_has(const struct root_bundle *bundle, const struct certificate *certificate)
{
    uint8_t subject[8], digest[32];
    bool is_hashed = false;

    if (bundle->count == 0)
        return false;
    hash_subject(certificate->subject, subject);
    for (size_t i = 0; i < bundle->count; i++) {
        const struct root_entry *entry = &bundle->entries[i];

        if (memcmp(entry->subject, subject, sizeof subject) != 0)
            continue;
        if (!is_hashed)
            neap_hash(HASH_SHA256, certificate->der, digest);
        is_hashed = true;
        if (memcmp(entry->digest, digest, sizeof digest) == 0)
            return true;
    }
    return false;
}

static bool is_loaded(const struct loaded_roots *loaded, const struct root_entry *entry)
{
    for (size_t i = 0; i < loaded->count; i++)
        if (loaded->entries[i] == entry)
            return true;
    return false;
}

static void load(struct pool *pool, const struct root_bundle *bundle, const struct root_entry *entry,
                 struct loaded_roots *out)
{
    struct certificate *root = &out->certificates[out->count];
    uint8_t digest[32], *body = neap_pool_alloc_unset(pool, entry->size);
    struct span der = {0};

    if (body && bundle->source.read(bundle->source.context, entry->offset, body, entry->size) == 0)
        neap_pem_decode(pool, span_of(body, entry->size), &der);
    neap_pool_free(pool, body, entry->size);
    if (!der.data)
        return;
    neap_hash(HASH_SHA256, der, digest);
    if (memcmp(digest, entry->digest, sizeof digest) == 0 && neap_certificate_parse(der, root) == 0)
        out->entries[out->count++] = entry;
    else
        neap_certificate_release(pool, der);
}

void neap_bundle_load(struct pool *pool, const struct root_bundle *bundle, struct span subject,
                      struct loaded_roots *out)
{
    uint8_t wanted[8];

    if (bundle->count == 0)
        return;
    hash_subject(subject, wanted);
    for (size_t i = 0; i < bundle->count && out->count < LOADED_ROOTS; i++) {
        const struct root_entry *entry = &bundle->entries[i];

        if (memcmp(entry->subject, wanted, sizeof wanted) == 0 && !is_loaded(out, entry))
            load(pool, bundle, entry, out);
    }
}

void neap_loaded_roots_free(struct pool *pool, struct loaded_roots *loaded)
{
    for (size_t i = 0; i < loaded->count; i++)
        neap_certificate_release(pool, loaded->certificates[i].der);
    loaded->count = 0;
}
