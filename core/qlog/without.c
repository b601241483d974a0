/* What a build without qlog has of it (NEAP_WITH_QLOG): nobody gets a trace, so that nothing else is ever called with one. */
#include "neap.h"

neap_qlog *neap_qlog_init(void *memory, size_t size, const neap_qlog_config *config)
{
    (void)memory;
    (void)size;
    (void)config;
    return NULL;
}

void neap_conn_set_qlog(neap_conn *conn, neap_qlog *qlog)
{
    (void)conn;
    (void)qlog;
}

void neap_qlog_event(neap_qlog *qlog, const neap_trace_event *event)
{
    (void)qlog;
    (void)event;
}

void neap_qlog_flush(neap_qlog *qlog)
{
    (void)qlog;
}

uint64_t neap_qlog_dropped(const neap_qlog *qlog)
{
    (void)qlog;
    return 0;
}
