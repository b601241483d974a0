/* The date of responses (RFC 9110 §6.6.1), by the clock of their config. */
#include "binding.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static bool has_date(const neap_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].name_size == 4 && memcmp(fields[i].name, "date", 4) == 0)
            return true;
    }
    return false;
}

/* RFC 9110 §5.6.7. False for a time that has no such text. */
static bool write_date(char *out, size_t room, int64_t seconds)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t at = (time_t)seconds;
    struct tm t;

    if (gmtime_r(&at, &t) == NULL || t.tm_year < -1900 || t.tm_year > 8099)
        return false;
    return snprintf(out, room, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[t.tm_wday], t.tm_mday,
                    months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec) == DATE_SIZE;
}

size_t neap_lua_add_date(struct config_core *config, neap_field *fields, size_t count)
{
    bool is_interim = count > 0 && fields[0].value_size == 3 && fields[0].value[0] == '1';

    if (config == NULL || !config->has_dates || is_interim || count == FIELDS_MAX || has_date(fields, count))
        return count;
    int64_t now = neap_config_wall_clock(config->config);
    if (now < 0)
        return count;
    if (now != config->date_at || config->date[0] == '\0') {
        config->date_at = now;
        if (!write_date(config->date, sizeof config->date, now))
            config->date[0] = '\0';
    }
    if (config->date[0] == '\0')
        return count;
    fields[count] =
        (neap_field){.name = "date", .name_size = 4, .value = config->date, .value_size = DATE_SIZE};
    return count + 1;
}

int neap_lua_config_set_dates(lua_State *L)
{
    struct config_core *config = neap_lua_check_config(L, 1);

    config->has_dates = lua_toboolean(L, 2);
    return 0;
}
