/* Who blocks the loop. A timer sends the thread of Lua a signal when a turn takes too long; the handler sets a hook, and in
 * that Lua says itself where it is. While nothing blocks, a turn costs two readings of the clock, and a busy program gets
 * ten signals a second; one that waits gets none. A thread that watches would cost the smallest program its stack, and have
 * malloc and stdio take locks. */
#include "binding.h"

#include <errno.h>
#if defined __has_include && LUA_VERSION_NUM < 502
#if __has_include(<luajit.h>)
#include <luajit.h>
#endif
#endif
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define TYPE_TURNS "neap.turns"
#define INTERRUPT SIGURG /* what nobody handles is ignored, so that it harms nothing when it comes late */
#define MUTE \
    10 /* times the time after which a turn is looked at: then the handler itself says that it could not be */

/* Of the one Lua state of the process that is watched: a signal's handler belongs to a process too. It runs in the thread of
 * Lua, between two of its instructions; what it reads of a turn is written while none goes on. */
static struct {
    const void *owner;      /* the state's registry, or NULL */
    lua_State *volatile at; /* the coroutine that a hook is set in, where hooks are of coroutines */
    int look;               /* registry's place of the function that looks */
    neap_time first;        /* into a turn when it is called */
    pthread_t lua;
    timer_t timer;
    volatile bool is_armed;
    volatile neap_time since, due; /* of a turn: when it began, when it is to be looked at */
    volatile unsigned turn;        /* odd while one goes on */
    volatile unsigned asked;       /* the last one that a hook was set for */
    volatile unsigned looked;      /* the last one that was looked at */
    volatile bool stays;           /* the hook is there until the turn is over, or nobody wants it */
    volatile unsigned mute;        /* the last one of which the handler spoke */
} watch;

static bool is_watched(lua_State *L)
{
    return watch.owner != NULL && watch.owner == lua_topointer(L, LUA_REGISTRYINDEX);
}

static void arm(neap_time after)
{
    struct itimerspec at = {.it_value = {(time_t)(after / NEAP_SECOND), (long)(after % NEAP_SECOND)}};

    watch.is_armed = after > 0;
    timer_settime(watch.timer, 0, &at, NULL);
}

static void look_after(neap_time seconds)
{
    watch.due = neap_loop_now() + seconds;
    arm(seconds);
}

static void look(lua_State *L, lua_Debug *record);

/* Somebody else's, such as a debugger's, stays. */
static void set_hook(lua_State *L, bool is_set)
{
    lua_Hook hook = lua_gethook(L);

    if (hook == look && !is_set)
        lua_sethook(L, NULL, 0, 0);
    else if (hook == NULL && is_set)
        lua_sethook(L, look, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

/* Runs in the code that blocks, and where it stays, between any two instructions of that. */
static void look(lua_State *L, lua_Debug *record)
{
    (void)record;
    bool stays = false, ends = false;

    set_hook(L, false);
    if (watch.owner == NULL || watch.asked != watch.turn || !lua_checkstack(L, 4))
        return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, watch.look);
    neap_lua_push_time(L, neap_loop_now() - watch.since);
    watch.looked = watch.turn;
    if (lua_pcall(L, 1, 1, 0) == 0) {
        ends = lua_type(L, -1) == LUA_TSTRING;
        stays = ends || lua_isboolean(L, -1);
        if (!stays && lua_isnumber(L, -1))
            look_after(neap_lua_to_time(L, lua_tonumber(L, -1)));
        else
            arm(0);
    }
    watch.stays = stays;
    set_hook(L, stays);
    if (ends)
        lua_error(L);
    lua_pop(L, 1);
}

#ifdef LUAJIT_VERSION
/* LuaJIT looks at hooks in what it interprets. Its profiler reaches into what it has compiled as well: the code that is
 * compiled from here on asks, line by line, whether a signal of the profiler's has come, and then leaves. We take that
 * signal alone, and not its timer. */
#pragma weak luaJIT_profile_start
#pragma weak luaJIT_profile_stop

static bool is_compiled_watched;

static void ignore_sample(void *data, lua_State *L, int samples, int state)
{
    (void)data;
    (void)L;
    (void)samples;
    (void)state;
}

static void watch_compiled(lua_State *L, bool is_wanted)
{
    static const struct itimerval never = {{0}, {0}};

    if (luaJIT_profile_start == NULL || is_wanted == is_compiled_watched)
        return;
    is_compiled_watched = is_wanted;
    if (is_wanted)
        luaJIT_profile_start(L, "li1000000", ignore_sample, NULL);
    else
        luaJIT_profile_stop(L);
    setitimer(ITIMER_PROF, &never, NULL);
}

static void leave_compiled(void)
{
    if (is_compiled_watched)
        pthread_kill(watch.lua, SIGPROF);
}
#else
static void watch_compiled(lua_State *L, bool is_wanted)
{
    (void)L;
    (void)is_wanted;
}

static void leave_compiled(void)
{
}
#endif

/* Hooks may be set in a signal's handler. */
static void interrupt(int number)
{
    static const char untold[] =
        "neap: the loop is blocked by code that cannot be asked where it is: compiled, or C\n";
    int before = errno;

    (void)number;
    if (watch.owner == NULL || !pthread_equal(pthread_self(), watch.lua))
        return;
    neap_time now = neap_loop_now();
    if (watch.turn % 2 == 0) {
        watch.is_armed = false;
    } else if (now < watch.due) {
        arm(watch.due - now);
    } else {
        neap_time took = now - watch.since;
        watch.asked = watch.turn;
        set_hook(watch.at, true);
        leave_compiled();
        if (took >= MUTE * watch.first && watch.looked != watch.turn && watch.mute != watch.turn) {
            watch.mute = watch.turn;
            (void)!write(STDERR_FILENO, untold, sizeof untold - 1);
        }
        /* A hook may be lost, as where a finalizer ends. */
        look_after(took);
    }
    errno = before;
}

bool neap_lua_turn_ends(lua_State *L)
{
    if (watch.turn % 2 == 0 || !is_watched(L))
        return false;
    watch.turn++;
    watch.stays = false;
    neap_time took = neap_loop_now() - watch.since;

    set_hook(L, false);
    if (took < watch.first)
        return false;
    neap_lua_push_time(L, took);
    return true;
}

void neap_lua_turn_begins(lua_State *L)
{
    if (!is_watched(L))
        return;
    if (watch.turn % 2 == 1)
        watch.turn++;
    watch.at = L;
    watch.since = neap_loop_now();
    watch.due = watch.since + watch.first;
    watch.turn++;
    if (!watch.is_armed)
        arm(watch.first);
}

static int start(void)
{
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};
    struct sigaction before;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = INTERRUPT};

    sigemptyset(&action.sa_mask);
    if (sigaction(INTERRUPT, NULL, &before) != 0 || before.sa_handler != SIG_DFL)
        return EBUSY;
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &event, &watch.timer) != 0)
        return errno;
    sigaction(INTERRUPT, &action, NULL);
    return 0;
}

static void stop(lua_State *L)
{
    if (!is_watched(L))
        return;
    timer_delete(watch.timer);
    signal(INTERRUPT, SIG_DFL);
    set_hook(L, false);
    watch.stays = false;
    watch.owner = NULL;
    luaL_unref(L, LUA_REGISTRYINDEX, watch.look);
}

/* core.watch_turns(seconds, fn) -> true: from the next turn of the loop on fn(seconds) is called inside of code that keeps
 * it from taking anything for so long, and again after as many seconds as it returns, or, for false, before each instruction until it returns something else; a
 * string is raised as an error where the code is. 0: no more. */
static int core_watch_turns(lua_State *L)
{
    neap_time first = neap_lua_check_time(L, 1);

    stop(L);
    if (first > 0) {
        luaL_checktype(L, 2, LUA_TFUNCTION);
        if (watch.owner != NULL)
            return neap_lua_system_error(L, "turns of another Lua state are watched", EBUSY);
        lua_pushvalue(L, 2);
        watch.look = luaL_ref(L, LUA_REGISTRYINDEX);
        watch.first = first;
        watch.lua = pthread_self();
        watch.is_armed = false;
        watch.turn = 2;
        watch.asked = watch.looked = watch.mute = 0;
        int failed = start();
        if (failed != 0) {
            luaL_unref(L, LUA_REGISTRYINDEX, watch.look);
            return neap_lua_system_error(L, "watching turns", failed);
        }
        watch.owner = lua_topointer(L, LUA_REGISTRYINDEX);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* core.rest() -> seconds of a turn that was long enough to be looked at: it is over, though the loop does not wait. */
static int core_rest(lua_State *L)
{
    return neap_lua_turn_ends(L) ? 1 : 0;
}

/* core.work(): a turn begins, though the loop has not waited. */
static int core_work(lua_State *L)
{
    neap_lua_turn_begins(L);
    return 0;
}

/* core.watch_compiled(is_wanted): whether the hook that turns are watched by reaches what LuaJIT compiles from here on. */
static int core_watch_compiled(lua_State *L)
{
    watch_compiled(L, lua_toboolean(L, 1));
    return 0;
}

#if LUA_VERSION_NUM >= 503
/* Hooks are of coroutines: notes which one runs. The values that it gives are left on its stack: their count, or -1 and the
 * error on top of it. */
static int resume(lua_State *L, lua_State *co, int count)
{
    bool is_ours = is_watched(L);
    int status, results = 0;

    lua_xmove(L, co, count);
    if (is_ours)
        watch.at = co;
#if LUA_VERSION_NUM >= 504
    status = lua_resume(co, L, count, &results);
#else
    status = lua_resume(co, L, count);
    results = lua_gettop(co);
#endif
    if (is_ours) {
        watch.at = L;
        set_hook(co, false);
        if (watch.stays)
            set_hook(L, true);
    }
    return status == LUA_OK || status == LUA_YIELD ? results : -1;
}

/* Moves what it gives: their count, or -1 and a message on top. */
static int resume_for_all(lua_State *L, lua_State *co, int count)
{
    const char *why = NULL;

    if (!lua_checkstack(co, count))
        why = "too many arguments to resume";
    else if (lua_status(co) == LUA_OK && lua_gettop(co) == 0)
        why = "cannot resume dead coroutine";
    if (why != NULL) {
        lua_pushstring(L, why);
        return -1;
    }
    int results = resume(L, co, count);
    if (results > 0 && !lua_checkstack(L, results + 1)) {
        lua_pop(co, results);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(co, L, results < 0 ? 1 : results);
    return results;
}

/* core.resume(coroutine, ...): what coroutine.resume is, with that note. */
static int core_resume(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);

    luaL_argexpected(L, co != NULL, 1, "coroutine");
    int results = resume_for_all(L, co, lua_gettop(L) - 1);
    lua_pushboolean(L, results >= 0);
    lua_insert(L, results < 0 ? -2 : -(results + 1));
    return results < 0 ? 2 : results + 1;
}

static int call_wrapped(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int results = resume_for_all(L, co, lua_gettop(L));

    if (results >= 0)
        return results;
#if LUA_VERSION_NUM >= 504
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) {
        status = lua_resetthread(co); /* closes its variables */
        lua_xmove(co, L, 1);
    }
    if (status == LUA_ERRMEM)
        return lua_error(L);
#endif
    if (lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

/* core.wrap(fn): what coroutine.wrap is, with that note. */
static int core_wrap(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    lua_pushcclosure(L, call_wrapped, 1);
    return 1;
}
#endif

static int turns_gc(lua_State *L)
{
    stop(L);
    watch_compiled(L, false);
    return 0;
}

void neap_lua_open_turns(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"watch_turns", core_watch_turns},
        {"rest", core_rest},
        {"work", core_work},
        {"watch_compiled", core_watch_compiled},
#if LUA_VERSION_NUM >= 503
        {"resume", core_resume},
        {"wrap", core_wrap},
#endif
        {NULL, NULL},
    };
    static const luaL_Reg none[] = {{NULL, NULL}};

    neap_lua_new_type(L, TYPE_TURNS, none, turns_gc, NULL);
    (void)lua_newuserdata(L, 1);
    luaL_getmetatable(L, TYPE_TURNS);
    lua_setmetatable(L, -2);
    lua_setfield(L, LUA_REGISTRYINDEX, TYPE_TURNS ".end");
    neap_lua_set_functions(L, functions);
}
