/* What secrets would show by the way that code takes, or by the time. A program of its own, optimised and without
 * sanitizers: spec/quic/timing_spec.lua runs it in valgrind, scripts/bench timing by the clock.
 *   timing_program undefined CASE   in memcheck: secrets are bytes of which nothing is known, and nothing may depend on them
 *   timing_program count            in callgrind: a dump of each case with each of its variants, named CASE/VARIANT
 *   timing_program measure COUNT    t-values of each case between two of its variants, after so many measurements
 *                                   (Reparaz, Balasch, Verbauwhede: Dude, is my code constant time?) */
#include "crypto/backend.h"
#include "crypto/p256/p256.h"
#include "paths/token.h"
#include "quic/conn.h"
#include "tls/state.h"
#include "wire/header.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <valgrind/callgrind.h>
#include <valgrind/memcheck.h>

/* Of a size of which the AEAD has as many blocks, and the last one has more than 8 bytes, whatever size the number has. */
#define DATAGRAM 103u
#define CID 8u
#define NUMBER_AT (1 + CID)
#define ROUND (5 * NEAP_MILLISECOND)

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "timing: %s\n", what);
    exit(1);
}

/* ---- two endpoints in memory, and a connection that had an update of its keys */

static struct world {
    neap_config *configs[2];
    neap_endpoint *client, *server;
    neap_conn *conn; /* the client's */
    neap_conn *peer;
    neap_recv_info from_server;
    neap_time now;
} world;

static void carry(neap_endpoint *from, neap_endpoint *to)
{
    static uint8_t bytes[65536];
    neap_udp_datagram d = {.bytes = bytes};

    for (;;) {
        int64_t size = neap_endpoint_send(from, &d, sizeof bytes, world.now);

        if (size <= 0)
            return;
        d.size = (size_t)size;
        neap_endpoint_recv(to, &d, world.now);
        for (neap_conn *conn; (conn = neap_endpoint_next(to)) != NULL;)
            if (to == world.server)
                world.peer = conn;
    }
}

static void exchange(size_t rounds)
{
    for (size_t i = 0; i < rounds; i++, world.now += ROUND) {
        carry(world.client, world.server);
        carry(world.server, world.client);
    }
}

static void talk(size_t rounds)
{
    for (size_t i = 0; i < rounds; i++) {
        int64_t id = neap_conn_stream_open(world.conn, false);

        neap_conn_stream_send(world.conn, (uint64_t)id, (const uint8_t *)"x", 1, true);
        id = neap_conn_stream_open(world.peer, false);
        neap_conn_stream_send(world.peer, (uint64_t)id, (const uint8_t *)"x", 1, true);
        exchange(10);
    }
}

static void open_world(void)
{
    static char certificate[4096], key[4096];
    const char *alpn = "timing", *name = "localhost", *why = NULL;
    neap_address client_address, server_address;
    neap_env env = {.memory_limit = 1 << 24};

    world.now = NEAP_SECOND;
    neap_address_parse("192.0.2.1:1000", 0, &client_address);
    neap_address_parse("192.0.2.2:443", 0, &server_address);
    for (size_t i = 0; i < 2; i++) {
        world.configs[i] = neap_config_new(&env);
        neap_config_set_alpn(world.configs[i], &alpn, 1);
        neap_config_set(world.configs[i], "verify_peer", 0);
    }
    check(neap_make_certificate(world.configs[1], &name, 1, 2, certificate, sizeof certificate, key,
                                sizeof key) == 0,
          "no certificate");
    check(neap_config_add_certificate(world.configs[1], certificate, strlen(certificate), key, strlen(key),
                                      &why) == 0,
          "certificate refused");
    world.client = neap_endpoint_new(world.configs[0], false, &why);
    world.server = neap_endpoint_new(world.configs[1], true, &why);
    world.conn =
        neap_endpoint_connect(world.client, NULL, name, &client_address, &server_address, world.now, &why);
    check(world.conn != NULL, why);
    world.from_server = (neap_recv_info){.from = server_address, .to = client_address};
    exchange(100);
    check(neap_conn_is_confirmed(world.conn) && world.peer, "no handshake");
    talk(10);
    /* The keys before the update are dropped by now. */
    check(neap_conn_begin_phase(world.peer), "no update of the keys");
    talk(100);
    check(world.conn->keys.read_phase && !world.conn->keys.previous_read, "the update did not end");
    check(world.conn->application.read_start > 4 && world.conn->local_cids.cid_size == CID,
          "not as the cases want it");
}

static void close_world(void)
{
    neap_endpoint_free(world.client);
    neap_endpoint_free(world.server);
    for (size_t i = 0; i < 2; i++)
        neap_config_free(world.configs[i]);
}

/* ---- cases: each prepares one of its variants, and does what may not differ between them */

/* All that a variant is made of; the same room for all of them. */
static uint8_t bytes[256];

struct timing_case {
    const char *name;
    size_t variants;
    void (*prepare)(size_t variant);
    void (*run)(void);
};

/* A datagram that does not open. Without its protection it begins with these bits, and has this at the place of its number. */
static void prepare_datagram(uint8_t first, uint32_t number)
{
    const struct local_cids *cids = &world.conn->local_cids;
    struct header_mask masks[MASK_RUN];
    const uint8_t *mask = masks[0].bytes;
    size_t i = 0;

    while (!cids->ids[i].in_use)
        i++;
    memset(bytes, 0x5a, sizeof bytes);
    memcpy(bytes + 1, cids->ids[i].cid.bytes, CID);
    check(neap_packet_masks(world.conn->crypto, &world.conn->application.read, bytes, DATAGRAM, DATAGRAM,
                            NUMBER_AT, masks) == 1,
          "no mask");
    bytes[0] = (uint8_t)(0x40 | ((first ^ mask[0]) & 0x1f));
    for (i = 0; i < 4; i++)
        bytes[NUMBER_AT + i] = (uint8_t)(number >> 8 * (3 - i)) ^ mask[1 + i];
}

static void recv_datagram(void)
{
    neap_conn_recv(world.conn, bytes, DATAGRAM, &world.from_server, world.now);
}

/* The token of the connection ID in use, but for one byte. */
static void prepare_reset(size_t variant)
{
    static const size_t places[] = {0, 1, 7, 8, 14, 15};
    const struct peer_cids *cids = &world.conn->peer_cids;
    size_t i = 0;

    while (!(cids->ids[i].in_use && cids->ids[i].is_active && cids->ids[i].has_token))
        i++;
    prepare_datagram(0x04, 0);
    memcpy(bytes + DATAGRAM - 16, cids->ids[i].token, 16);
    bytes[DATAGRAM - 16 + places[variant]] ^= 0x80;
}

/* Every value of the protected bits: reserved ones, the key phase, the size of the number. And numbers of before the update of
 * the keys, of now, and from all around. */
static void prepare_header(size_t variant)
{
    static const uint32_t numbers[] = {0, 0x01010101, 0x80808080, 0xffffffff, 0x02ff7f80};

    prepare_datagram((uint8_t)(variant % 32), numbers[variant / 32]);
}

/* One byte of a tag or a MAC of 16 bytes or more is another. */
static void change_tag(uint8_t *tag, size_t variant)
{
    static const size_t places[] = {0, 7, 8, 15};

    tag[places[variant]] ^= 1;
}

static const uint8_t secret[48] = "what tickets, tokens and Finished are made with";
static struct ticket_keys ticket_keys;
static struct token_keys token_keys;
static struct tls handshake;
static size_t size;

static void prepare_ticket(size_t variant)
{
    struct session session = {.suite = SUITE_AES_128_GCM_SHA256,
                              .issued = 1000,
                              .lifetime = 100,
                              .good_until = 2000,
                              .psk = span_of(secret, 32),
                              .alpn = span_of_string("h3")};

    neap_ticket_keys_set(&ticket_keys, (const uint8_t(*)[32])(const void *)secret, 1);
    neap_random_seed(neap_crypto_random(world.conn->crypto), secret);
    int64_t made = neap_ticket_seal(world.conn->crypto, &ticket_keys, &session, bytes);
    check(made > 0, "no ticket");
    size = (size_t)made;
    change_tag(bytes + size - CRYPTO_TAG, variant);
}

static void open_ticket(void)
{
    static uint8_t room[SESSION_IN_TICKET];
    struct session session;

    neap_ticket_open(world.conn->crypto, &ticket_keys, span_of(bytes, size), 100, 1001, room, &session);
}

static void prepare_token(size_t variant)
{
    struct retry_token token = {
        .original_dcid = {.size = 8}, .retry_scid = {.size = 8}, .version = 1, .issued = 1000};

    neap_token_keys_derive(&token_keys, secret);
    neap_random_seed(neap_crypto_random(world.conn->crypto), secret);
    int64_t made = neap_retry_token_seal(world.conn->crypto, &token_keys, &token, &world.from_server.from,
                                         bytes, sizeof bytes);
    check(made > 0, "no token");
    size = (size_t)made;
    change_tag(bytes + size - CRYPTO_TAG, variant);
}

static void open_token(void)
{
    struct retry_token token;

    neap_retry_token_open(world.conn->crypto, &token_keys, span_of(bytes, size), &world.from_server.from,
                          1001, &token);
}

static void prepare_finished(size_t variant)
{
    if (!handshake.schedule.started)
        neap_schedule_start(&handshake.schedule, SUITE_AES_128_GCM_SHA256);
    bytes[0] = FINISHED;
    neap_schedule_finished(&handshake.schedule, secret, bytes + MESSAGE_HEADER);
    change_tag(bytes + MESSAGE_HEADER, variant);
}

static void check_finished(void)
{
    struct failure why = {0};

    neap_tls_check_finished(&handshake, span_of(bytes, MESSAGE_HEADER + 32), secret, &why);
}

static uint64_t largest_acked;
#define NUMBER UINT64_C(0x12345678)

/* Numbers that take each of the sizes, in packets of one size. */
static void prepare_packet(size_t variant)
{
    static const uint64_t distances[] = {1, 0x81, 0x8001, 0x800001};

    prepare_datagram(0, 0);
    largest_acked = NUMBER - distances[variant];
}

static void seal_packet(void)
{
    struct writer w = writer_of(bytes, DATAGRAM);
    struct seal_packet packet = {.header = bytes, .number = NUMBER};

    packet.number_size = neap_packet_number_size(NUMBER, largest_acked);
    neap_short_header_write(&w, neap_peer_cids_active(&world.conn->peer_cids), false, false,
                            packet.number_size, NUMBER);
    packet.header_size = writer_size(&w);
    packet.payload_size = DATAGRAM - CRYPTO_TAG - packet.header_size;
    neap_packets_seal(world.conn->crypto, &world.conn->application.write, &packet, 1);
}

enum { RESET_TOKEN, HEADER, TICKET, TOKEN, CHECKED, SEALING, CASES };

static const struct timing_case cases[CASES] = {
    [RESET_TOKEN] = {"reset token", 6, prepare_reset, recv_datagram},
    [HEADER] = {"header", 160, prepare_header, recv_datagram},
    [TICKET] = {"ticket", 4, prepare_ticket, open_ticket},
    [TOKEN] = {"token", 4, prepare_token, open_token},
    [CHECKED] = {"Finished", 4, prepare_finished, check_finished},
    [SEALING] = {"sealing", 4, prepare_packet, seal_packet},
};

/* ---- count */

/* Whether the AEAD is ours, whose work we know. */
static void say_engine(void)
{
    const struct crypto *crypto = world.conn->crypto;

    if (crypto->engine->is_accelerated &&
        world.conn->application.read.suite != SUITE_CHACHA20_POLY1305_SHA256)
        puts("accelerated");
}

static void count(const struct timing_case *c)
{
    char name[64];

    for (size_t i = 0; i < 2; i++) { /* what the first time brings, such as expanded keys */
        c->prepare(0);
        c->run();
    }
    for (size_t variant = 0; variant < c->variants; variant++) {
        snprintf(name, sizeof name, "%s/%zu", c->name, variant);
        c->prepare(variant);
        CALLGRIND_START_INSTRUMENTATION;
        CALLGRIND_ZERO_STATS;
        c->run();
        CALLGRIND_DUMP_STATS_AT(name);
        CALLGRIND_STOP_INSTRUMENTATION;
    }
}

/* ---- measure */

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NEAP_SECOND + (uint64_t)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

struct moments {
    double count, mean, squares;
};

static void add(struct moments *m, double x)
{
    double from_mean = x - m->mean;

    m->count++;
    m->mean += from_mean / m->count;
    m->squares += from_mean * (x - m->mean);
}

/* Welch's t of what took up to `most`: what is above is the machine's. */
static double t_value(const uint64_t *times, const uint8_t *classes, size_t measured, uint64_t most,
                      struct moments of[2])
{
    memset(of, 0, 2 * sizeof *of);
    for (size_t i = 0; i < measured; i++)
        if (times[i] <= most)
            add(&of[classes[i]], (double)times[i]);
    return (of[0].mean - of[1].mean) / sqrt(of[0].squares / of[0].count / (of[0].count - 1) +
                                            of[1].squares / of[1].count / (of[1].count - 1));
}

static const struct pair {
    int which; /* of the cases */
    size_t first, second;
    const char *what;
} pairs[] = {
    {RESET_TOKEN, 0, 5, "first byte, last byte"},    {HEADER, 4, 7, "number of 1 byte, of 4 bytes"},
    {HEADER, 4, 0, "this phase, another one"},       {HEADER, 4, 28, "reserved bits clear, set"},
    {HEADER, 4, 68, "number 0x00, number 0x80"},     {TICKET, 0, 3, "first byte, last byte"},
    {TOKEN, 0, 3, "first byte, last byte"},          {CHECKED, 0, 3, "first byte, last byte"},
    {SEALING, 0, 3, "number of 1 byte, of 4 bytes"},
};

static void measure(const struct pair *pair, size_t measured)
{
    uint64_t *times = malloc(measured * sizeof *times), *sorted = malloc(measured * sizeof *sorted);
    uint8_t *classes = malloc(measured);
    const struct timing_case *c = &cases[pair->which];
    struct random random;
    struct moments of[2];

    neap_random_seed(&random, secret);
    for (size_t i = 0; i < measured; i++) {
        classes[i] = neap_random_below(&random, 2) != 0;
        c->prepare(classes[i] ? pair->second : pair->first);
        uint64_t start = now_ns();
        c->run();
        times[i] = sorted[i] = now_ns() - start;
    }
    qsort(sorted, measured, sizeof *sorted, compare);
    double t = t_value(times, classes, measured, sorted[measured * 9 / 10], of);
    double deviation = sqrt((of[0].squares + of[1].squares) / (of[0].count + of[1].count - 2));
    printf("%-12s %-30s %6.1f ns %6.1f ns   t = %6.2f   %6.4f deviations\n", c->name, pair->what, of[0].mean,
           of[1].mean, t, fabs(of[0].mean - of[1].mean) / deviation);
    free(times);
    free(sorted);
    free(classes);
}

/* ---- undefined */

/* What became of a secret may be looked at: whether it was right. */
static int known(int result)
{
    VALGRIND_MAKE_MEM_DEFINED(&result, sizeof result);
    return result;
}

/* The way it must not be: so that we see that it would be seen. */
static void compare_early(void)
{
    uint8_t a[16] = {1}, b[16] = {2};
    volatile size_t same = 0;

    VALGRIND_MAKE_MEM_UNDEFINED(a, sizeof a);
    while (same < sizeof a && a[same] == b[same])
        same = same + 1;
}

static void compare_equal(void)
{
    uint8_t a[21] = {1}, b[21] = {1};

    for (size_t some = 0; some <= sizeof a; some++) {
        VALGRIND_MAKE_MEM_UNDEFINED(a, sizeof a);
        check(known(neap_equal_constant_time(a, b, some)), "not equal");
    }
}

static void find_reset(void)
{
    struct peer_cids *cids = &world.conn->peer_cids;
    uint8_t tail[16] = {0};

    for (size_t i = 0; i < sizeof cids->ids / sizeof cids->ids[0]; i++)
        VALGRIND_MAKE_MEM_UNDEFINED(cids->ids[i].token, sizeof cids->ids[i].token);
    VALGRIND_MAKE_MEM_UNDEFINED(tail, sizeof tail);
    check(!known(neap_peer_cids_is_reset(cids, tail)), "a reset");
}

/* Header protection comes off, and the number is made whole. */
static void unmask(void)
{
    struct header_mask mask;
    uint32_t truncated;

    for (uint64_t expected = 0; expected < 1 << 20; expected += 4096) {
        prepare_datagram(0x04, 0);
        memset(&mask, 3, sizeof mask);
        VALGRIND_MAKE_MEM_UNDEFINED(&mask, sizeof mask);
        int number_size = neap_packet_unmask_by(&mask, bytes, NUMBER_AT, &truncated);
        uint64_t number = neap_packet_number_expand(truncated, (size_t)number_size, expected);
        VALGRIND_MAKE_MEM_DEFINED(&number, sizeof number);
        VALGRIND_MAKE_MEM_DEFINED(bytes, sizeof bytes);
        check(known(number_size) >= 1 && number <= VARINT_MAX, "no number");
    }
}

/* Keys, what they open and seal, and numbers. Of the tag it may be seen that it is right: timing_spec.lua says where. */
static void use_keys(void)
{
    const struct engine *engine;

    for (size_t i = 0; (engine = neap_engine_at(i)) != NULL; i++) {
        static uint64_t expanded[EXPANDED_KEY_ROOM / sizeof(uint64_t)];
        static uint8_t plain[1200], sealed[1200 + CRYPTO_TAG], masks[1][MASK_BLOCK];
        struct packet_key key = {.suite = SUITE_AES_256_GCM_SHA384};
        const uint8_t *sample = sealed;

        if (!engine->is_accelerated)
            continue;
        for (size_t some = 0; some <= sizeof plain; some += some < 300 ? 1 : 100) {
            struct aead_item item = {.aad = span_of(secret, 13), .in = plain, .size = some, .out = sealed};

            VALGRIND_MAKE_MEM_UNDEFINED(key.key, sizeof key.key);
            VALGRIND_MAKE_MEM_UNDEFINED(key.hp, sizeof key.hp);
            VALGRIND_MAKE_MEM_UNDEFINED(plain, sizeof plain);
            VALGRIND_MAKE_MEM_UNDEFINED(item.nonce, sizeof item.nonce);
            check(engine->expand(expanded, &key) == 0 && engine->seal_run(expanded, &item, 1) == 0 &&
                      engine->mask(expanded, &sample, 1, masks) == 0,
                  "not sealed");
            item.in = item.out = sealed;
            item.size += CRYPTO_TAG;
            check(engine->open(expanded, &item) == 0, "not opened");
        }
        engine->clear(expanded);
        puts(engine->name);
    }
}

/* Private keys of P-256 and what is made with them. That a number is in its range may be seen: timing_spec.lua says where. */
static void use_p256(void)
{
#ifdef HAVE_P256
    uint8_t key[NUMBER_SIZE], point[POINT_SIZE], result[2 * NUMBER_SIZE];

    memcpy(key, secret, sizeof key);
    neap_p256_public(key, point);
    VALGRIND_MAKE_MEM_UNDEFINED(key, sizeof key);
    check(neap_p256_shared(key, point, result), "no point");
    VALGRIND_MAKE_MEM_UNDEFINED(key, sizeof key);
    neap_p256_sign(key, secret, result);
    VALGRIND_MAKE_MEM_UNDEFINED(key, sizeof key);
    neap_p256_public(key, point);
    puts("done");
#endif
}

static const struct {
    const char *name;
    void (*run)(void);
} undefined_cases[] = {
    {"early", compare_early}, {"equal", compare_equal}, {"reset token", find_reset},
    {"header", unmask},       {"keys", use_keys},       {"P-256", use_p256},
};

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "", *which = argc > 2 ? argv[2] : "";

    open_world();
    for (size_t i = 0;
         strcmp(what, "undefined") == 0 && i < sizeof undefined_cases / sizeof undefined_cases[0]; i++)
        if (strcmp(which, undefined_cases[i].name) == 0)
            undefined_cases[i].run();
    if (strcmp(what, "count") == 0)
        say_engine();
    for (size_t i = 0; strcmp(what, "count") == 0 && i < CASES; i++)
        count(&cases[i]);
    for (size_t i = 0; strcmp(what, "measure") == 0 && i < sizeof pairs / sizeof pairs[0]; i++)
        measure(&pairs[i], (size_t)strtoul(which, NULL, 10));
    close_world();
    return 0;
}
