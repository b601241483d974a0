/* Which engines of this folder the build has, and what the CPU and the system say of them. */
#ifndef NEAP_CRYPTO_ACCEL_H
#define NEAP_CRYPTO_ACCEL_H

#include <stdbool.h>

#if defined(NEAP_ACCEL) && defined(__x86_64__)
#define ACCEL_X86 1
#endif
#if defined(ACCEL_X86) && defined(NEAP_VAES)
#define ACCEL_VAES 1
#endif
/* libcrypto has its own. */
#if defined(ACCEL_X86) && !defined(NEAP_HAVE_LIBCRYPTO)
#define ACCEL_SHA256 1
#endif
/* clang before 16 has the intrinsics only where the whole file may use them. */
#if defined(NEAP_ACCEL) && defined(__aarch64__) && defined(__linux__) && \
    __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && (!defined(__clang__) || defined(__ARM_FEATURE_AES))
#define ACCEL_ARMV8 1
#endif

/* The sums of a struct product are made where it is written. No instruction comes of this; without it GCC puts the additions
 * off until all terms are there, for which the registers do not suffice. `where` is the constraint of a vector register. */
#define KEEP_SUMS(p, where) __asm__("" : "+" where((p)->low), "+" where((p)->middle), "+" where((p)->high))

bool neap_cpu_has_aesni(void);
bool neap_cpu_has_vaes256(void);
bool neap_cpu_has_vaes512(void);
bool neap_cpu_has_sha(void);
bool neap_cpu_has_armv8(void);

#endif
