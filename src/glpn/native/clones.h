/* Clones: every kernel is compiled for the baseline instruction set and, on x86-64, also for AVX2
   and AVX-512. At run time, the CPU determines which clones are available. */

#ifndef GLPN_CLONES_H
#define GLPN_CLONES_H

#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))
#define AVX2 "avx2,fma"
#define AVX512 "avx512f,avx512bw,avx512dq,avx512vl,fma"

/* The number of clones that this machine can run; the last one is the fastest. */
static inline int32_t clones_here(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 1;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
    return 2;
  return 3;
#else
  return 1;
#endif
}

/* Defines the exported NAME(job). It runs KERNEL, a function that is always inlined, in the clone
   that job->clone selects, which is below clones_here(). */
#if defined(__x86_64__)
#define CLONED(name, kernel, job_type)                                                            \
  static void kernel##_base(const job_type *job) { kernel(job); }                                 \
  __attribute__((target(AVX2))) static void kernel##_v3(const job_type *job) { kernel(job); }     \
  __attribute__((target(AVX512 ",prefer-vector-width=512"))) static void kernel##_v4(             \
      const job_type *job) {                                                                      \
    kernel(job);                                                                                  \
  }                                                                                               \
  EXPORT void name(const job_type *job) {                                                         \
    if (job->clone == 2)                                                                          \
      kernel##_v4(job);                                                                           \
    else if (job->clone == 1)                                                                     \
      kernel##_v3(job);                                                                           \
    else                                                                                          \
      kernel##_base(job);                                                                         \
  }
#else
#define CLONED(name, kernel, job_type) \
  EXPORT void name(const job_type *job) { kernel(job); }
#endif

#endif
