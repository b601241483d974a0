/* What the sans-I/O library leaves out: the default environment, files, the system's roots; and names of errors. */
#include "neap.h"

#include "crypto/crypto.h"
#include "quic/config.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define FILE_MOST (16u << 20) /* bytes of a file of certificates */

/* ---- environment */

static void *default_realloc(void *context, void *pointer, size_t size)
{
    (void)context;
    if (size == 0) {
        free(pointer);
        return NULL;
    }
    return realloc(pointer, size);
}

static int default_random(void *context, uint8_t *out, size_t size)
{
    (void)context;
    while (size > 0) {
        ssize_t got = getrandom(out, size, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        out += got;
        size -= (size_t)got;
    }
    return 0;
}

static int64_t default_wall_clock(void *context)
{
    (void)context;
    return (int64_t)time(NULL);
}

neap_config *neap_config_new(const neap_env *env)
{
    neap_env complete = env ? *env : (neap_env){0};

    if (!complete.realloc)
        complete.realloc = default_realloc;
    if (!complete.random)
        complete.random = default_random;
    if (!complete.wall_clock)
        complete.wall_clock = default_wall_clock;
    return neap_config_create(&complete);
}

/* ---- files */

static int say(const char **why, int code, const char *reason)
{
    if (why)
        *why = reason;
    return code;
}

/* A whole file in memory, to be freed; NULL with *why. */
static void *read_file(const char *path, size_t *size, const char **why)
{
    FILE *file = fopen(path, "rb");
    size_t room = 0, used = 0;
    char *bytes = NULL;

    if (!file) {
        say(why, 0,
            errno == ENOENT   ? "no such file"
            : errno == EACCES ? "not allowed to read it"
                              : "cannot be opened");
        return NULL;
    }
    while (!feof(file) && !ferror(file) && used < FILE_MOST) {
        if (used == room) {
            room = room ? room * 2 : 16384;
            char *more = realloc(bytes, room);

            if (!more)
                break;
            bytes = more;
        }
        used += fread(bytes + used, 1, room - used, file);
    }
    bool whole = feof(file) && !ferror(file);
    fclose(file);
    *size = used;
    if (whole && bytes)
        return bytes;
    free(bytes);
    say(why, 0, "cannot be read, or is too long");
    return NULL;
}

int neap_config_add_certificate_files(neap_config *config, const char *chain_file, const char *key_file,
                                      const char **why)
{
    size_t chain_size = 0, key_size = 0;
    void *chain = read_file(chain_file, &chain_size, why);
    void *key = chain ? read_file(key_file, &key_size, why) : NULL;
    int rc = chain && key ? neap_config_add_certificate(config, chain, chain_size, key, key_size, why)
                          : NEAP_ERR_SYSTEM;

    if (key)
        neap_wipe(key, key_size);
    free(chain);
    free(key);
    return rc;
}

static int add_ca_file(neap_config *config, const char *path, const char **why)
{
    size_t size = 0;
    void *roots = read_file(path, &size, why);
    int rc = roots ? neap_config_add_ca(config, roots, size, why) : NEAP_ERR_SYSTEM;

    free(roots);
    return rc;
}

/* Files that are no certificates are skipped; one good file is enough. */
static int add_ca_folder(neap_config *config, const char *path, const char **why)
{
    char file[4096];
    DIR *folder = opendir(path);
    const struct dirent *entry;
    int rc = say(why, NEAP_ERR_CERTIFICATE, "no certificate in the folder");

    if (!folder)
        return say(why, NEAP_ERR_SYSTEM, "the folder cannot be read");
    while ((entry = readdir(folder)) != NULL) {
        int length = snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        struct stat info;

        if (length < 0 || (size_t)length >= sizeof file || stat(file, &info) || !S_ISREG(info.st_mode))
            continue;
        if (add_ca_file(config, file, NULL) == 0)
            rc = 0;
    }
    closedir(folder);
    if (rc == 0)
        say(why, 0, NULL);
    return rc;
}

int neap_config_add_ca_path(neap_config *config, const char *path, const char **why)
{
    struct stat info;

    if (stat(path, &info))
        return say(why, NEAP_ERR_SYSTEM, "no such file or folder");
    return S_ISDIR(info.st_mode) ? add_ca_folder(config, path, why) : add_ca_file(config, path, why);
}

int neap_config_add_system_ca(neap_config *config, const char **why)
{
    static const char *const places[] = {
        "/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, OpenWrt */
        "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
        "/etc/ssl/ca-bundle.pem",             /* SUSE */
        "/etc/ssl/cert.pem",                  /* Alpine, BSD */
        "/etc/ssl/certs",
    };
    const char *chosen = getenv("SSL_CERT_FILE");

    if (chosen && neap_config_add_ca_path(config, chosen, why) == 0)
        return 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (neap_config_add_ca_path(config, places[i], NULL) == 0)
            return 0;
    return say(why, NEAP_ERR_SYSTEM, "no root certificates found on this system (package ca-certificates)");
}

/* A client that verifies needs something to verify with. */
static bool complete_client(neap_config *config, const char **why)
{
    return !neap_config_lacks_trust(config) || neap_config_add_system_ca(config, why) == 0;
}

neap_conn *neap_connect(neap_config *config, const char *server_name, const neap_address *local,
                        const neap_address *peer, neap_time now, const char **why)
{
    if (!complete_client(config, why))
        return NULL;
    return neap_conn_new_client(config, server_name, local, peer, now, why);
}

neap_conn *neap_endpoint_connect(neap_endpoint *endpoint, neap_config *config, const char *server_name,
                                 const neap_address *local, const neap_address *peer, neap_time now,
                                 const char **why)
{
    if (!complete_client(config ? config : neap_endpoint_config(endpoint), why))
        return NULL;
    return neap_endpoint_new_client(endpoint, config, server_name, local, peer, now, why);
}

/* ---- names */

const char *neap_version(void)
{
    return NEAP_VERSION;
}

const char *neap_backend(void)
{
    return neap_crypto_backend();
}

const char *neap_strerror(int64_t error)
{
    if (error >= 0)
        return "no error";
    if (error < NEAP_ERR_TOKEN)
        return "unknown error";
    switch ((enum neap_error)error) {
    case NEAP_OK: break;
    case NEAP_ERR_AGAIN: return "nothing to do now";
    case NEAP_ERR_NO_MEMORY: return "out of memory";
    case NEAP_ERR_ARGUMENT: return "a value is out of range or a name unknown";
    case NEAP_ERR_CLOSED: return "the connection is closed";
    case NEAP_ERR_BUFFER_TOO_SHORT: return "the buffer is too short";
    case NEAP_ERR_UNKNOWN_VERSION: return "unknown QUIC version";
    case NEAP_ERR_INVALID_PACKET: return "not a QUIC packet";
    case NEAP_ERR_STREAM_STATE: return "no such stream, or not in this direction";
    case NEAP_ERR_STREAM_LIMIT: return "the peer allows no more streams";
    case NEAP_ERR_STREAM_RESET: return "the peer reset the stream";
    case NEAP_ERR_STREAM_STOPPED: return "the peer does not want more of the stream";
    case NEAP_ERR_CRYPTO: return "a cryptographic operation failed";
    case NEAP_ERR_CERTIFICATE: return "the certificate or key cannot be used";
    case NEAP_ERR_UNSUPPORTED: return "not supported by this build or by the peer";
    case NEAP_ERR_LIMIT: return "a limit is reached";
    case NEAP_ERR_SYSTEM: return "a system call failed";
    case NEAP_ERR_RANDOM: return "no randomness";
    case NEAP_ERR_TOKEN: return "the address validation token is not valid";
    }
    return "unknown error";
}

struct code_name {
    uint64_t code;
    const char *name;
};

static const struct code_name transport_names[] = {
    {NEAP_NO_ERROR, "NO_ERROR"},
    {NEAP_INTERNAL_ERROR, "INTERNAL_ERROR"},
    {NEAP_CONNECTION_REFUSED, "CONNECTION_REFUSED"},
    {NEAP_FLOW_CONTROL_ERROR, "FLOW_CONTROL_ERROR"},
    {NEAP_STREAM_LIMIT_ERROR, "STREAM_LIMIT_ERROR"},
    {NEAP_STREAM_STATE_ERROR, "STREAM_STATE_ERROR"},
    {NEAP_FINAL_SIZE_ERROR, "FINAL_SIZE_ERROR"},
    {NEAP_FRAME_ENCODING_ERROR, "FRAME_ENCODING_ERROR"},
    {NEAP_TRANSPORT_PARAMETER_ERROR, "TRANSPORT_PARAMETER_ERROR"},
    {NEAP_CONNECTION_ID_LIMIT_ERROR, "CONNECTION_ID_LIMIT_ERROR"},
    {NEAP_PROTOCOL_VIOLATION, "PROTOCOL_VIOLATION"},
    {NEAP_INVALID_TOKEN, "INVALID_TOKEN"},
    {NEAP_APPLICATION_ERROR, "APPLICATION_ERROR"},
    {NEAP_CRYPTO_BUFFER_EXCEEDED, "CRYPTO_BUFFER_EXCEEDED"},
    {NEAP_KEY_UPDATE_ERROR, "KEY_UPDATE_ERROR"},
    {NEAP_AEAD_LIMIT_REACHED, "AEAD_LIMIT_REACHED"},
    {NEAP_NO_VIABLE_PATH, "NO_VIABLE_PATH"},
};

static const struct code_name application_names[] = {
    {NEAP_H3_DATAGRAM_ERROR, "H3_DATAGRAM_ERROR"},
    {NEAP_H3_NO_ERROR, "H3_NO_ERROR"},
    {NEAP_H3_GENERAL_PROTOCOL_ERROR, "H3_GENERAL_PROTOCOL_ERROR"},
    {NEAP_H3_INTERNAL_ERROR, "H3_INTERNAL_ERROR"},
    {NEAP_H3_STREAM_CREATION_ERROR, "H3_STREAM_CREATION_ERROR"},
    {NEAP_H3_CLOSED_CRITICAL_STREAM, "H3_CLOSED_CRITICAL_STREAM"},
    {NEAP_H3_FRAME_UNEXPECTED, "H3_FRAME_UNEXPECTED"},
    {NEAP_H3_FRAME_ERROR, "H3_FRAME_ERROR"},
    {NEAP_H3_EXCESSIVE_LOAD, "H3_EXCESSIVE_LOAD"},
    {NEAP_H3_ID_ERROR, "H3_ID_ERROR"},
    {NEAP_H3_SETTINGS_ERROR, "H3_SETTINGS_ERROR"},
    {NEAP_H3_MISSING_SETTINGS, "H3_MISSING_SETTINGS"},
    {NEAP_H3_REQUEST_REJECTED, "H3_REQUEST_REJECTED"},
    {NEAP_H3_REQUEST_CANCELLED, "H3_REQUEST_CANCELLED"},
    {NEAP_H3_REQUEST_INCOMPLETE, "H3_REQUEST_INCOMPLETE"},
    {NEAP_H3_MESSAGE_ERROR, "H3_MESSAGE_ERROR"},
    {NEAP_H3_CONNECT_ERROR, "H3_CONNECT_ERROR"},
    {NEAP_H3_VERSION_FALLBACK, "H3_VERSION_FALLBACK"},
    {NEAP_QPACK_DECOMPRESSION_FAILED, "QPACK_DECOMPRESSION_FAILED"},
    {NEAP_QPACK_ENCODER_STREAM_ERROR, "QPACK_ENCODER_STREAM_ERROR"},
    {NEAP_QPACK_DECODER_STREAM_ERROR, "QPACK_DECODER_STREAM_ERROR"},
};

/* TLS alerts (RFC 8446 §6), which stand behind CRYPTO_ERROR. */
static const struct code_name alert_names[] = {
    {0, "close_notify"},
    {10, "unexpected_message"},
    {20, "bad_record_mac"},
    {22, "record_overflow"},
    {40, "handshake_failure"},
    {42, "bad_certificate"},
    {43, "unsupported_certificate"},
    {44, "certificate_revoked"},
    {45, "certificate_expired"},
    {46, "certificate_unknown"},
    {47, "illegal_parameter"},
    {48, "unknown_ca"},
    {49, "access_denied"},
    {50, "decode_error"},
    {51, "decrypt_error"},
    {70, "protocol_version"},
    {71, "insufficient_security"},
    {80, "internal_error"},
    {86, "inappropriate_fallback"},
    {90, "user_canceled"},
    {109, "missing_extension"},
    {110, "unsupported_extension"},
    {112, "unrecognized_name"},
    {113, "bad_certificate_status_response"},
    {115, "unknown_psk_identity"},
    {116, "certificate_required"},
    {120, "no_application_protocol"},
};

static const char *find_name(const struct code_name *names, size_t count, uint64_t code)
{
    for (size_t i = 0; i < count; i++)
        if (names[i].code == code)
            return names[i].name;
    return "unknown";
}

#define FIND(names, code) find_name(names, sizeof names / sizeof names[0], code)

const char *neap_wire_error_name(uint64_t code, bool is_application)
{
    if (is_application)
        return FIND(application_names, code);
    if (code >= NEAP_CRYPTO_ERROR && code <= NEAP_CRYPTO_ERROR + 0xff)
        return FIND(alert_names, code - NEAP_CRYPTO_ERROR);
    return FIND(transport_names, code);
}
