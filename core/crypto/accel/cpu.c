/* What the CPU has of what the engines need, and whether the system keeps the registers that they use. */
#include "crypto/accel/accel.h"

#ifdef ACCEL_X86
#include <cpuid.h>
#include <immintrin.h>

/* CPUID leaf 1 */
#define ECX_PCLMULQDQ (1u << 1)
#define ECX_SSE41 (1u << 19)
#define ECX_AES (1u << 25)
#define ECX_OSXSAVE (1u << 27)
/* CPUID leaf 7 */
#define EBX_AVX2 (1u << 5)
#define EBX_SHA (1u << 29)
#define EBX_AVX512F (1u << 16)
#define EBX_AVX512BW (1u << 30)
#define EBX_AVX512VL (1u << 31)
#define ECX_VAES (1u << 9)
#define ECX_VPCLMULQDQ (1u << 10)
/* XCR0 */
#define STATE_AVX 0x06u    /* XMM, YMM */
#define STATE_AVX512 0xe6u /* and masks, ZMM */

struct leaf {
    unsigned eax, ebx, ecx, edx;
};

static struct leaf cpuid(unsigned number)
{
    struct leaf leaf = {0};

    __get_cpuid_count(number, 0, &leaf.eax, &leaf.ebx, &leaf.ecx, &leaf.edx);
    return leaf;
}

static bool has_all(unsigned features, unsigned wanted)
{
    return (features & wanted) == wanted;
}

bool neap_cpu_has_aesni(void)
{
    return has_all(cpuid(1).ecx, ECX_AES | ECX_PCLMULQDQ | ECX_SSE41);
}

bool neap_cpu_has_sha(void)
{
    return has_all(cpuid(1).ecx, ECX_SSE41) && has_all(cpuid(7).ebx, EBX_SHA);
}

#ifdef ACCEL_VAES
__attribute__((target("xsave"))) static bool system_keeps(unsigned state)
{
    return (cpuid(1).ecx & ECX_OSXSAVE) && (_xgetbv(0) & state) == state;
}

bool neap_cpu_has_vaes256(void)
{
    struct leaf leaf = cpuid(7);

    return neap_cpu_has_aesni() && has_all(leaf.ebx, EBX_AVX2) &&
           has_all(leaf.ecx, ECX_VAES | ECX_VPCLMULQDQ) && system_keeps(STATE_AVX);
}

bool neap_cpu_has_vaes512(void)
{
    return neap_cpu_has_vaes256() && has_all(cpuid(7).ebx, EBX_AVX512F | EBX_AVX512BW | EBX_AVX512VL) &&
           system_keeps(STATE_AVX512);
}
#endif
#endif

#ifdef ACCEL_ARMV8
#include <asm/hwcap.h>
#include <sys/auxv.h>

bool neap_cpu_has_armv8(void)
{
    unsigned long wanted = HWCAP_AES | HWCAP_PMULL;

    return (getauxval(AT_HWCAP) & wanted) == wanted;
}
#endif
