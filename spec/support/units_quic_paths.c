/* Units of core/quic: the paths of a connection. */
#include "quic/multipath.h"
#include "quic_unit.h"

/* conn:paths() -> {{address, local_address, validated, is_active, window, in_flight, rtt, cid, reset_token} …} */
static int conn_paths(lua_State *L)
{
    const neap_conn *c = check_conn(L, 1);
    int count = 0;

    lua_newtable(L);
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        const struct path *path = conn_path_at(c, i);

        if (!path)
            continue;
        lua_newtable(L);
        push_address(L, &path->address.peer);
        lua_setfield(L, -2, "address");
        push_address(L, &path->address.local);
        lua_setfield(L, -2, "local_address");
        set_bool(L, "validated", path->address.validated);
        set_bool(L, "is_active", path == conn_path(c));
        set_number(L, "window", path->recovery.cc.window);
        set_number(L, "in_flight", path->recovery.bytes_in_flight);
        set_number(L, "rtt", path->recovery.rtt.smoothed);
        set_number(L, "slot", path->slot);
        set_number(L, "path_id", neap_multipath_id(c, path->slot));
        set_number(L, "numbers", conn_space((neap_conn *)(uintptr_t)c, path_space(path))->next_number);
        const struct peer_cid *id = conn_peer_cid(c, path);
        push_cid(L, &id->cid);
        lua_setfield(L, -2, "cid");
        if (id->has_token) {
            lua_pushlstring(L, (const char *)id->token, sizeof id->token);
            lua_setfield(L, -2, "reset_token");
        }
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* conn:probe(local [, peer]), conn:migrate(local [, peer, flags]) -> result */
static int conn_probe(lua_State *L)
{
    neap_address local = check_address(L, 2), peer;

    if (!lua_isnoneornil(L, 3))
        peer = check_address(L, 3);
    lua_pushnumber(L, neap_conn_probe_path(check_conn(L, 1), &local, lua_isnoneornil(L, 3) ? NULL : &peer));
    return 1;
}

static int conn_migrate(lua_State *L)
{
    neap_address local = check_address(L, 2), peer;

    if (!lua_isnoneornil(L, 3))
        peer = check_address(L, 3);
    lua_pushnumber(L, neap_conn_migrate(check_conn(L, 1), &local, lua_isnoneornil(L, 3) ? NULL : &peer,
                                        (unsigned)luaL_optnumber(L, 4, 0)));
    return 1;
}

static int conn_addresses(lua_State *L)
{
    neap_address local, peer;

    neap_conn_addresses(check_conn(L, 1), &local, &peer);
    push_address(L, &local);
    push_address(L, &peer);
    return 2;
}

/* conn:path_event() -> kind, local, peer, lost, path ID, code */
static int conn_path_event(lua_State *L)
{
    static const char *const kinds[] = {"validated", "failed", "migrated", "peer_migrated",
                                        "opened",    "closed", "status"};
    neap_path_event e;

    if (!neap_conn_next_path_event(check_conn(L, 1), &e, sizeof e))
        return 0;
    lua_pushstring(L, kinds[e.kind]);
    push_address(L, &e.local);
    push_address(L, &e.peer);
    lua_pushnumber(L, (lua_Number)e.lost);
    lua_pushnumber(L, e.path_id);
    lua_pushnumber(L, (lua_Number)e.code);
    return 6;
}

/* conn:abandon_path(path ID, code), conn:set_path_backup(path ID, is backup) -> result */
static int conn_abandon_path(lua_State *L)
{
    lua_pushnumber(L, neap_conn_abandon_path(check_conn(L, 1), (uint32_t)luaL_checknumber(L, 2),
                                             (uint64_t)luaL_checknumber(L, 3)));
    return 1;
}

static int conn_set_path_backup(lua_State *L)
{
    lua_pushnumber(L, neap_conn_set_path_backup(check_conn(L, 1), (uint32_t)luaL_checknumber(L, 2),
                                                lua_toboolean(L, 3)));
    return 1;
}

/* conn:path_ids() -> nil without multipath; {ours =, theirs =, {id =, stage =, peer_ids =, own_ids =} …} */
static int conn_path_ids(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    int count = 0;

    if (!c->multipath)
        return 0;
    lua_newtable(L);
    set_number(L, "ours", c->multipath->ours);
    set_number(L, "theirs", c->multipath->theirs);
    for (uint8_t slot = 0; slot <= LIMIT_PATH_IDS; slot++) {
        const struct path_id *id = &c->multipath->ids[slot];
        const struct local_cids *own = conn_local_cids(c, slot);
        size_t own_ids = 0, peer_ids = 0;

        if (id->stage == PATH_ID_VACANT)
            continue;
        for (size_t i = 0; i < LIMIT_LOCAL_CONNECTION_IDS_HELD; i++)
            own_ids += own->ids[i].in_use;
        for (size_t i = 0; i < LIMIT_PEER_CONNECTION_IDS * 2; i++)
            peer_ids += neap_multipath_peer_cids(c, slot)->ids[i].in_use;
        lua_newtable(L);
        set_number(L, "id", id->id);
        set_number(L, "stage", id->stage);
        set_number(L, "own_ids", own_ids);
        set_number(L, "peer_ids", peer_ids);
        set_bool(L, "is_peer_backup", id->is_peer_backup);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* conn:path(at) -> how many, {local_address, address, state, is_active, is_preferred, rtt, window} */
static int conn_path_info(lua_State *L)
{
    neap_path_info info;
    size_t at = (size_t)luaL_checknumber(L, 2),
           count = neap_conn_paths(check_conn(L, 1), at, &info, sizeof info);

    lua_pushnumber(L, (lua_Number)count);
    if (at >= count)
        return 1;
    lua_newtable(L);
    push_address(L, &info.local);
    lua_setfield(L, -2, "local_address");
    push_address(L, &info.peer);
    lua_setfield(L, -2, "address");
    set_number(L, "state", info.state);
    set_bool(L, "is_active", info.is_active);
    set_bool(L, "is_preferred", info.is_preferred);
    set_number(L, "rtt", info.rtt_smoothed);
    set_number(L, "window", info.congestion_window);
    return 2;
}

/* conn:preferred_address(family) -> address or nothing */
static int conn_preferred_address(lua_State *L)
{
    neap_address address;

    if (!neap_conn_preferred_address(check_conn(L, 1), (unsigned)luaL_checknumber(L, 2), &address))
        return 0;
    push_address(L, &address);
    return 1;
}

/* conn:floods() -> what neap_stats tells of them */
static int conn_floods(lua_State *L)
{
    neap_stats s;

    neap_conn_stats(check_conn(L, 1), &s, sizeof s);
    lua_newtable(L);
    set_number(L, "packets_unproductive", s.packets_unproductive);
    set_number(L, "path_challenges_received", s.path_challenges_received);
    set_number(L, "path_responses_dropped", s.path_responses_dropped);
    set_number(L, "packets_refused", s.packets_refused);
    set_number(L, "packets_forged", s.packets_forged);
    set_number(L, "undecryptable_kept", s.undecryptable_kept);
    set_number(L, "undecryptable_refused", s.undecryptable_refused);
    set_number(L, "amplification_limited", s.amplification_limited);
    set_number(L, "paths_refused", s.paths_refused);
    set_number(L, "memory_stalls", s.memory_stalls);
    set_number(L, "datagrams_dropped", s.datagrams_dropped);
    set_number(L, "path_ids_abandoned", s.path_ids_abandoned);
    set_number(L, "path_ids_allowed", s.path_ids_allowed);
    set_number(L, "path_frames_ignored", s.path_frames_ignored);
    set_number(L, "streams_accepted", s.streams_accepted);
    return 1;
}

const luaL_Reg unit_path_methods[] = {
    {"floods", conn_floods},
    {"paths", conn_paths},
    {"probe", conn_probe},
    {"migrate", conn_migrate},
    {"path_event", conn_path_event},
    {"addresses", conn_addresses},
    {"abandon_path", conn_abandon_path},
    {"set_path_backup", conn_set_path_backup},
    {"path_ids", conn_path_ids},
    {"path", conn_path_info},
    {"preferred_address", conn_preferred_address},
    {NULL, NULL},
};
