/* What a ClientHello leads to in a server: nothing is kept before all of it is decided. */
#ifndef NEAP_TLS_CHOICE_H
#define NEAP_TLS_CHOICE_H

#include "tls/hello.h"
#include "tls/state.h"

struct choice {
    uint16_t suite, group, scheme;
    struct span share; /* the client's key of the group; data NULL: it must be asked for */
    struct identity *identity;
    bool name_matched;
    struct span protocol;
    uint16_t psk_index;              /* which of the client's pre-shared keys, if any */
    struct session session;          /* of a ticket, whose key was chosen; without psk: none. In: */
    uint8_t room[SESSION_IN_TICKET]; /* what a ticket had in it */
    struct psk_key external;         /* the external key that was chosen; size 0: none */
    struct span psk_identity;        /* its, in the ClientHello */
    struct span binder;
    bool may_take_early;   /* all that can be known without the register says so */
    int64_t early_expires; /* when the ClientHello is too old for it */
};

/** Whether a pre-shared key was chosen. */
static inline bool choice_has_key(const struct choice *choice)
{
    return choice->session.psk.size > 0 || choice->external.size > 0;
}

/* ---- server_keys.c */

/** The first pre-shared key of the client's that is one here, of a session or an external one; behind the suite, the group,
 * the protocol and the certificate, of which the suite may become another. 0, also without one; TLS_ASKED. */
int neap_choose_psk(struct tls *tls, const struct client_hello *hello, struct choice *choice,
                    struct failure *why);
/** What sessions are bound to beside the name and the protocol: the certificate that a full handshake would show, and whether
 * and by whom it would have the client authenticated. */
void neap_session_binding(const struct tls_config *config, const struct identity *identity, uint8_t out[32]);
/** Early data that nobody counts is read as often as somebody sends it; and where the application is to say who may come in,
 * it says so first. */
bool neap_server_takes_early(const struct tls_config *config);

/* ---- server.c */

/** Look at the ClientHello again that was kept when something was asked. */
int neap_server_on_hello_again(struct tls *tls, struct failure *why);

#endif
