/* A build without TLS over streams says so. */
#include "tcp/tls.h"

bool neap_tls_stream_is_available(void)
{
    return false;
}

struct tls_side *neap_tls_side_new(neap_config *config, bool is_server, const char *const *protocols,
                                   struct failure *why)
{
    (void)config;
    (void)is_server;
    (void)protocols;
    neap_fail(why, NEAP_ERR_UNSUPPORTED, "this build has no TLS over TCP");
    return NULL;
}

void neap_tls_side_free(struct tls_side *side)
{
    (void)side;
}

struct tls_stream *neap_tls_stream_new(struct tls_side *side, const char *name, struct failure *why)
{
    (void)side;
    (void)name;
    neap_fail(why, NEAP_ERR_UNSUPPORTED, "this build has no TLS over TCP");
    return NULL;
}

/* Nobody has a stream for what follows. */

void neap_tls_stream_free(struct tls_stream *stream)
{
    (void)stream;
}

enum tls_stream_state neap_tls_stream_state(const struct tls_stream *stream)
{
    (void)stream;
    return TLS_STREAM_FAILED;
}

const struct failure *neap_tls_stream_failure(const struct tls_stream *stream)
{
    static const struct failure failure = {.code = NEAP_ERR_UNSUPPORTED, .reason = ""};

    (void)stream;
    return &failure;
}

size_t neap_tls_stream_receive(struct tls_stream *stream, const uint8_t *bytes, size_t size)
{
    (void)stream;
    (void)bytes;
    return size;
}

void neap_tls_stream_end_of_input(struct tls_stream *stream)
{
    (void)stream;
}

size_t neap_tls_stream_send(struct tls_stream *stream, uint8_t *out, size_t size)
{
    (void)stream;
    (void)out;
    (void)size;
    return 0;
}

size_t neap_tls_stream_read(struct tls_stream *stream, uint8_t *out, size_t size)
{
    (void)stream;
    (void)out;
    (void)size;
    return 0;
}

size_t neap_tls_stream_write(struct tls_stream *stream, const uint8_t *bytes, size_t size)
{
    (void)stream;
    (void)bytes;
    (void)size;
    return 0;
}

size_t neap_tls_stream_capacity(const struct tls_stream *stream)
{
    (void)stream;
    return 0;
}

void neap_tls_stream_close(struct tls_stream *stream)
{
    (void)stream;
}

void neap_tls_stream_end_output(struct tls_stream *stream)
{
    (void)stream;
}

const char *neap_tls_stream_protocol(const struct tls_stream *stream)
{
    (void)stream;
    return "";
}

const char *neap_tls_stream_server_name(const struct tls_stream *stream)
{
    (void)stream;
    return "";
}

const char *neap_tls_stream_version(const struct tls_stream *stream)
{
    (void)stream;
    return "";
}

const char *neap_tls_stream_suite(const struct tls_stream *stream)
{
    (void)stream;
    return "";
}

struct span neap_tls_stream_peer_certificate(const struct tls_stream *stream, size_t index)
{
    (void)stream;
    (void)index;
    return (struct span){0};
}
