/* Counts of durations in buckets whose width grows with the duration: any value is known to within 1/256 of itself. */
#ifndef NEAP_BINDING_HISTOGRAM_H
#define NEAP_BINDING_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS 256u                      /* buckets for each doubling */
#define HISTOGRAM_BUCKETS (57u * HISTOGRAM_STEPS) /* all of 64 bits */

/* Zeroed is empty. */
struct histogram {
    uint64_t count, least, most;
    double sum;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void neap_histogram_add(struct histogram *h, uint64_t value);
/** The value that `share` (0 to 1) of all are not above; 0 when there is none. */
uint64_t neap_histogram_at(const struct histogram *h, double share);
double neap_histogram_mean(const struct histogram *h);

#endif
