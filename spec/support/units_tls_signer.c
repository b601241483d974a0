#include "units_tls_signer.h"

#include <stdlib.h>

#include "neap.h"

struct late_signer {
    struct signer signer;
    struct signer *inner;
    int later;
};

struct work {
    struct signature_algorithm algorithm;
    size_t size;
    int later;
    uint8_t message[];
};

static int begin(struct signer *signer, struct signature_algorithm algorithm, struct span message,
                 struct signing *out)
{
    struct work *work = malloc(sizeof *work + message.size);

    if (!work)
        return NEAP_ERR_NO_MEMORY;
    work->algorithm = algorithm;
    work->size = message.size;
    work->later = ((struct late_signer *)signer)->later;
    memcpy(work->message, message.data, message.size);
    out->work = work;
    return SIGNING_LATER;
}

static void cancel(struct signer *signer, struct signing *signing)
{
    (void)signer;
    free(signing->work);
}

static int finish(struct signer *signer, struct signing *signing)
{
    struct signer *inner = ((struct late_signer *)signer)->inner;
    struct work *work = signing->work;

    if (--work->later > 0)
        return SIGNING_LATER;
    int rc = work->later < 0
                 ? NEAP_ERR_CRYPTO
                 : inner->methods->begin(inner, work->algorithm, span_of(work->message, work->size), signing);
    signing->work = work;
    cancel(signer, signing);
    return rc;
}

static void release(struct signer *signer)
{
    neap_signer_free(((struct late_signer *)signer)->inner);
    free(signer);
}

static const struct signer_methods methods = {
    .begin = begin, .finish = finish, .cancel = cancel, .free = release};

struct identity *unit_identity_of_late_key(struct crypto *crypto, struct span chain, struct span key,
                                           int later, struct failure *why)
{
    struct span label, body;
    uint8_t der[4096];
    int64_t size =
        neap_pem_next(&key, &label, &body) && body.size <= sizeof der ? neap_base64_decode(body, der) : 0;
    struct signer *inner = neap_signer_new(crypto, span_of(der, size > 0 ? (size_t)size : 0), why);
    struct late_signer *late = inner ? calloc(1, sizeof *late) : NULL;

    if (!late) {
        neap_signer_free(inner);
        return NULL;
    }
    *late = (struct late_signer){.signer = {&methods}, .inner = inner, .later = later};
    return neap_identity_new_with(crypto, chain, &late->signer, why);
}
