#include "histogram.h"

#include <math.h>

#define STEP_BITS 8u

static unsigned bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_STEPS)
        return (unsigned)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - STEP_BITS;
    return shift * HISTOGRAM_STEPS + (unsigned)(value >> shift);
}

/* The greatest value of a bucket. */
static uint64_t top_of(unsigned bucket)
{
    if (bucket < HISTOGRAM_STEPS)
        return bucket;
    unsigned shift = bucket / HISTOGRAM_STEPS - 1;
    uint64_t step = bucket % HISTOGRAM_STEPS + HISTOGRAM_STEPS;
    return (step << shift) + ((UINT64_C(1) << shift) - 1);
}

void neap_histogram_add(struct histogram *h, uint64_t value)
{
    if (h->count == 0 || value < h->least)
        h->least = value;
    if (value > h->most)
        h->most = value;
    h->count++;
    h->sum += (double)value;
    h->buckets[bucket_of(value)]++;
}

uint64_t neap_histogram_at(const struct histogram *h, double share)
{
    /* Products like 0.999 × 1000 are a little more than they should be. */
    double wanted = ceil(share * (double)h->count - 1e-6);
    uint64_t seen = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && h->count > 0; i++) {
        seen += h->buckets[i];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t top = top_of(i);
            return top < h->least ? h->least : top > h->most ? h->most : top;
        }
    }
    return h->most;
}

double neap_histogram_mean(const struct histogram *h)
{
    return h->count > 0 ? h->sum / (double)h->count : 0;
}
