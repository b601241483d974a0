/* Whole files, and the certificates and keys in them. */
#include "host/host.h"

#include "base/random.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MOST (16u << 20) /* bytes of a file of certificates */

void *neap_file_read(const char *path, size_t *size, const char **why)
{
    FILE *file = fopen(path, "rb");
    size_t room = 0, used = 0;
    char *bytes = NULL;

    if (!file) {
        neap_say(why, 0,
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
    neap_say(why, 0, "cannot be read, or is too long");
    return NULL;
}

int neap_config_add_certificate_files(neap_config *config, const char *chain_file, const char *key_file,
                                      const char **why)
{
    size_t chain_size = 0, key_size = 0;

    if (!chain_file || !key_file)
        return neap_say(why, NEAP_ERR_ARGUMENT, "no file is named");
    void *chain = neap_file_read(chain_file, &chain_size, why);
    void *key = chain ? neap_file_read(key_file, &key_size, why) : NULL;
    int rc = chain && key ? neap_config_add_certificate(config, chain, chain_size, key, key_size, why)
                          : NEAP_ERR_SYSTEM;

    if (key)
        neap_wipe(key, key_size);
    free(chain);
    free(key);
    return rc;
}

int neap_config_add_crl_file(neap_config *config, const char *file, const char **why)
{
    size_t size = 0;

    if (!file)
        return neap_say(why, NEAP_ERR_ARGUMENT, "no file is named");
    void *lists = neap_file_read(file, &size, why);
    int rc = lists ? neap_config_add_crl(config, lists, size, why) : NEAP_ERR_SYSTEM;

    free(lists);
    return rc;
}
