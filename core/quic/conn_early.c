/* 0-RTT (RFC 9001 §4.6, RFC 9000 §7.4.1): what can be asked of it, and what follows from the server's answer. */
#include "quic/conn.h"

enum neap_early neap_conn_early(const neap_conn *conn)
{
    return (enum neap_early)conn->early;
}

bool neap_conn_is_early(const neap_conn *conn)
{
    return !conn->is_server && conn->stage == STAGE_HANDSHAKE &&
           (conn->early == NEAP_EARLY_OFFERED || conn->early == NEAP_EARLY_ACCEPTED);
}

bool neap_conn_stream_is_early(const neap_conn *conn, uint64_t id)
{
    return conn->is_server && conn->stage == STAGE_HANDSHAKE && !neap_stream_is_server_initiated(id) &&
           id >> 2 < conn->streams.theirs[neap_stream_is_bidi(id) ? 0 : 1].next;
}

int neap_conn_begin_again(neap_conn *conn)
{
    return conn_is_alive(conn) ? NEAP_ERR_STATE : NEAP_ERR_CLOSED;
}

int neap_conn_set_session_data(neap_conn *conn, const void *data, size_t size)
{
    (void)conn, (void)data;
    return size > LIMIT_SESSION_DATA ? NEAP_ERR_ARGUMENT : NEAP_ERR_STATE;
}

const void *neap_conn_session_data(const neap_conn *conn, size_t *size)
{
    (void)conn;
    *size = 0;
    return NULL;
}
