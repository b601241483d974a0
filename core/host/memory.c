/* How much memory there is for this process: the machine's, or what a cgroup of either version leaves of it. */
#include "host/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MOST 4096u /* of a file in /proc, of a path */

/* The first number in a file, 0 when there is none ("max" is none). */
static uint64_t read_number(const char *path)
{
    FILE *file = fopen(path, "r");
    unsigned long long number = 0;

    if (!file)
        return 0;
    if (fscanf(file, "%llu", &number) != 1)
        number = 0;
    fclose(file);
    return number;
}

static void take_less(uint64_t *least, uint64_t number)
{
    if (number > 0 && number < *least)
        *least = number;
}

/* The limit of a cgroup and of all above it. A path that is not there is another namespace's: its root is looked at. */
static void take_cgroup(const char *root, const char *folder, char *path, const char *name, uint64_t *least)
{
    char file[2 * LINE_MOST];

    for (;;) {
        int length = snprintf(file, sizeof file, "%s/sys/fs/cgroup%s%s/%s", root, folder, path, name);

        if (length > 0 && (size_t)length < sizeof file)
            take_less(least, read_number(file));
        char *slash = strrchr(path, '/');
        if (!slash)
            return;
        *slash = '\0';
    }
}

/* Lines are "0::/path" (version 2) or "4:memory:/path" with controllers in between. */
static void take_cgroups(const char *root, uint64_t *least)
{
    char line[LINE_MOST];

    snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
    FILE *file = fopen(line, "r");
    while (file && fgets(line, sizeof line, file)) {
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;

        if (!path)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        if (controllers[1] == '\0')
            take_cgroup(root, "", path, "memory.max", least);
        else if (strstr(controllers + 1, "memory"))
            take_cgroup(root, "/memory", path, "memory.limit_in_bytes", least);
    }
    if (file)
        fclose(file);
}

uint64_t neap_host_memory(const char *root)
{
    char line[LINE_MOST];
    unsigned long long kilobytes;
    uint64_t least = UINT64_MAX;

    snprintf(line, sizeof line, "%s/proc/meminfo", root);
    FILE *file = fopen(line, "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemTotal: %llu kB", &kilobytes) == 1)
            take_less(&least, (uint64_t)kilobytes * 1024);
    if (file)
        fclose(file);
    take_cgroups(root, &least);
    return least < UINT64_MAX ? least : 0;
}
