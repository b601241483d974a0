/* An intrusive doubly linked list. A zeroed link is on no list; a list is its own head. */
#ifndef NEAP_BASE_LIST_H
#define NEAP_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_link {
    struct list_link *next, *prev;
};

#define LIST_OWNER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void list_init(struct list_link *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list_link *head)
{
    return head->next == head;
}

static inline bool list_linked(const struct list_link *link)
{
    return link->next != NULL;
}

static inline void list_append(struct list_link *head, struct list_link *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void list_prepend(struct list_link *head, struct list_link *link)
{
    list_append(head->next, link);
}

/* Taking out what is on no list does nothing. */
static inline void list_remove(struct list_link *link)
{
    if (!link->next)
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}

/* The first link, taken off the list, or NULL. */
static inline struct list_link *list_take_first(struct list_link *head)
{
    struct list_link *first = head->next;

    if (first == head)
        return NULL;
    list_remove(first);
    return first;
}

/* A ring is a list without a head of its own: a pointer to its first link, NULL when it is empty. Half as large, but who
 * takes a link out must know which ring it is on. */
static inline void ring_append(struct list_link **first, struct list_link *link)
{
    if (*first)
        list_append(*first, link);
    else
        *first = link->next = link->prev = link;
}

static inline void ring_prepend(struct list_link **first, struct list_link *link)
{
    ring_append(first, link);
    *first = link;
}

/* Before `at`, which is in the ring. */
static inline void ring_insert(struct list_link **first, struct list_link *at, struct list_link *link)
{
    list_append(at, link);
    if (*first == at)
        *first = link;
}

static inline void ring_remove(struct list_link **first, struct list_link *link)
{
    if (*first == link)
        *first = link->next == link ? NULL : link->next;
    list_remove(link);
}

#endif
