/* What is trusted: files and folders of roots, and of servers those of the system when none were given. */
#include "host/host.h"

#include "quic/config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT_IN_FILE 16384u /* bytes from which roots stay in their file: a few are as well in memory */

/* A file that stays open. */
static int read_at(void *context, uint64_t offset, uint8_t *out, size_t size)
{
    int fd = (int)(intptr_t)context;

    while (size > 0) {
        ssize_t got = pread(fd, out, size, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        out += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return 0;
}

static void close_file(void *context)
{
    close((int)(intptr_t)context);
}

/* Index a large file of PEM text; anything but 0 and no memory: it is read as a whole. */
static int add_ca_index(neap_config *config, const char *path, const void *text, size_t size,
                        const char **why)
{
    if (size < KEPT_IN_FILE)
        return NEAP_ERR_UNSUPPORTED;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct root_source source = {.read = read_at, .release = close_file, .context = (void *)(intptr_t)fd};

    if (fd < 0)
        return NEAP_ERR_SYSTEM;
    int rc = neap_config_add_ca_source(config, span_of(text, size), &source, why);
    if (rc)
        close(fd);
    return rc;
}

/* neap_config_add_ca, or the one for clients. */
typedef int (*add_roots)(neap_config *config, const void *roots, size_t size, const char **why);

static int add_ca_file(neap_config *config, add_roots add, const char *path, const char **why)
{
    size_t size = 0;
    void *roots = neap_file_read(path, &size, why);

    if (!roots)
        return NEAP_ERR_SYSTEM;
    /* Those for clients are few, and their names are asked for in every handshake. */
    int rc = add == neap_config_add_ca ? add_ca_index(config, path, roots, size, why) : NEAP_ERR_UNSUPPORTED;
    if (rc && rc != NEAP_ERR_NO_MEMORY)
        rc = add(config, roots, size, why);
    free(roots);
    return rc;
}

/* Another place may have what this one has not; it does not help when memory is short or the roots are too many. */
static bool is_over(int rc)
{
    return rc == NEAP_ERR_NO_MEMORY || rc == NEAP_ERR_LIMIT;
}

/* Files that are no certificates are skipped; one good file is enough. */
static int add_ca_folder(neap_config *config, add_roots add, const char *path, const char **why)
{
    char file[4096];
    DIR *folder = opendir(path);
    const struct dirent *entry;
    int rc = NEAP_ERR_CERTIFICATE;

    if (!folder)
        return neap_say(why, NEAP_ERR_SYSTEM, "the folder cannot be read");
    while (!is_over(rc) && (entry = readdir(folder)) != NULL) {
        int length = snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        struct stat info;

        if (length < 0 || (size_t)length >= sizeof file || stat(file, &info) || !S_ISREG(info.st_mode))
            continue;
        int added = add_ca_file(config, add, file, why);
        if (added == 0 || is_over(added))
            rc = added;
    }
    closedir(folder);
    if (is_over(rc))
        return rc;
    return neap_say(why, rc, rc ? "no certificate in the folder" : NULL);
}

static int add_ca_path(neap_config *config, add_roots add, const char *path, const char **why)
{
    struct stat info;

    if (!path)
        return neap_say(why, NEAP_ERR_ARGUMENT, "no file is named");
    if (stat(path, &info))
        return neap_say(why, NEAP_ERR_SYSTEM, "no such file or folder");
    return S_ISDIR(info.st_mode) ? add_ca_folder(config, add, path, why)
                                 : add_ca_file(config, add, path, why);
}

int neap_config_add_ca_path(neap_config *config, const char *path, const char **why)
{
    return add_ca_path(config, neap_config_add_ca, path, why);
}

int neap_config_add_client_ca_path(neap_config *config, const char *path, const char **why)
{
    return add_ca_path(config, neap_config_add_client_ca, path, why);
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
    /* Not in a program that has more rights than who started it: the environment is that user's. */
    const char *chosen = secure_getenv("SSL_CERT_FILE");

    /* Whoever names a file means it: a typing error must not lead to other roots. */
    if (chosen && chosen[0]) {
        int rc = neap_config_add_ca_path(config, chosen, why);
        if (rc == 0 || is_over(rc))
            return rc;
        return neap_say(why, rc, "no root certificates can be read where SSL_CERT_FILE points");
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        int rc = neap_config_add_ca_path(config, places[i], why);
        if (rc == 0 || is_over(rc))
            return rc;
    }
    return neap_say(why, NEAP_ERR_SYSTEM,
                    "no root certificates found on this system (package ca-certificates)");
}

/* What would only time out is refused; a client that verifies needs something to verify with. */
static bool complete_client(neap_config *config, const neap_address *peer, const char **why)
{
    if (!config)
        return neap_say(why, false, "no config (neap_config_new gave none)");
    if (peer->family != 4 && peer->family != 6)
        return neap_say(why, false, "no address to connect to");
    if (neap_config_lacks_trust(config) && neap_config_add_system_ca(config, why))
        return false;
    return !neap_config_has_idle_lists(config) ||
           neap_say(why, false, "revocation lists (crl) check nobody without roots (ca, and verify_peer)");
}

neap_conn *neap_connect(neap_config *config, const char *server_name, const neap_address *local,
                        const neap_address *peer, neap_time now, const char **why)
{
    neap_cid source;

    if (!complete_client(config, peer, why))
        return NULL;
    if (neap_new_cid(config, &source)) {
        neap_say(why, 0, "no connection ID");
        return NULL;
    }
    return neap_conn_new_client(config, server_name, local, peer, &source, now, why);
}

neap_conn *neap_endpoint_connect(neap_endpoint *endpoint, neap_config *config, const char *server_name,
                                 const neap_address *local, const neap_address *peer, neap_time now,
                                 const char **why)
{
    if (!endpoint) {
        neap_say(why, 0, "no endpoint (neap_endpoint_new said why)");
        return NULL;
    }
    if (!complete_client(config ? config : neap_endpoint_config(endpoint), peer, why))
        return NULL;
    return neap_endpoint_new_client(endpoint, config, server_name, local, peer, now, why);
}
