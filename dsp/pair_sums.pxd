# Sums of products of 16-bit numbers, exact and the same in every build.
#
# For each of `rows` rows: the sum over `pairs` pairs of matrix[pair][row][0] x[pair][0]
# + matrix[pair][row][1] x[pair][1]. The rows of a pair lie beside each other, and one
# pair is `stride` rows after the one before. One instruction (pmaddwd) multiplies and
# adds a pair for 4 rows, or for 8 with AVX2. `rows` is a multiple of 24; the caller
# sees to it that no sum overflows.

from libc.stdint cimport int16_t, int32_t

cdef extern from *:
    """
    #ifndef KOLBRIDGE_PAIR_SUMS
    #define KOLBRIDGE_PAIR_SUMS
    #include <stdint.h>
    #if defined(__AVX2__)
    #include <immintrin.h>
    typedef __m256i kolbridge_sums;
    #define KOLBRIDGE_ZERO() _mm256_setzero_si256()
    #define KOLBRIDGE_ALL(both) _mm256_set1_epi32(both)
    #define KOLBRIDGE_LOAD(at) _mm256_loadu_si256((const __m256i *) (at))
    #define KOLBRIDGE_STORE(at, sum) _mm256_storeu_si256((__m256i *) (at), sum)
    #define KOLBRIDGE_ADD(sum, a, b) _mm256_add_epi32(sum, _mm256_madd_epi16(a, b))
    #elif defined(__SSE2__)
    #include <emmintrin.h>
    typedef __m128i kolbridge_sums;
    #define KOLBRIDGE_ZERO() _mm_setzero_si128()
    #define KOLBRIDGE_ALL(both) _mm_set1_epi32(both)
    #define KOLBRIDGE_LOAD(at) _mm_loadu_si128((const __m128i *) (at))
    #define KOLBRIDGE_STORE(at, sum) _mm_storeu_si128((__m128i *) (at), sum)
    #define KOLBRIDGE_ADD(sum, a, b) _mm_add_epi32(sum, _mm_madd_epi16(a, b))
    #endif

    #ifdef KOLBRIDGE_ZERO
    #define KOLBRIDGE_LANES ((int) sizeof(kolbridge_sums) / 4)
    /* `count` vectors of sums stay in registers; it is constant where it is called. */
    static inline __attribute__((always_inline)) void kolbridge_some_sums(
        const int16_t *matrix, int stride, const int16_t *x, int pairs, int32_t *sums,
        const int count)
    {
        int k, pair;
        kolbridge_sums sum[6];
        for (k = 0; k < count; k++) sum[k] = KOLBRIDGE_ZERO();
        for (pair = 0; pair < pairs; pair++) {
            const int16_t *at = matrix + 2 * pair * stride;
            int32_t both;
            __builtin_memcpy(&both, x + 2 * pair, 4);
            kolbridge_sums value = KOLBRIDGE_ALL(both);
            for (k = 0; k < count; k++)
                sum[k] = KOLBRIDGE_ADD(
                    sum[k], KOLBRIDGE_LOAD(at + 2 * KOLBRIDGE_LANES * k), value);
        }
        for (k = 0; k < count; k++)
            KOLBRIDGE_STORE(sums + KOLBRIDGE_LANES * k, sum[k]);
    }
    #endif

    static inline void kolbridge_pair_sums(
        const int16_t *matrix, int stride, const int16_t *x, int pairs, int rows,
        int32_t *sums)
    {
        int row;
    #ifdef KOLBRIDGE_ZERO
        for (row = 0; row + 6 * KOLBRIDGE_LANES <= rows; row += 6 * KOLBRIDGE_LANES)
            kolbridge_some_sums(matrix + 2 * row, stride, x, pairs, sums + row, 6);
        for (; row < rows; row += 3 * KOLBRIDGE_LANES)
            kolbridge_some_sums(matrix + 2 * row, stride, x, pairs, sums + row, 3);
    #else
        int pair;
        for (row = 0; row < rows; row++) sums[row] = 0;
        for (pair = 0; pair < pairs; pair++)
            for (row = 0; row < rows; row++) {
                const int16_t *at = matrix + 2 * (pair * stride + row);
                sums[row] += (int32_t) at[0] * x[2 * pair];
                sums[row] += (int32_t) at[1] * x[2 * pair + 1];
            }
    #endif
    }
    #endif
    """
    void kolbridge_pair_sums(
        const int16_t *matrix, int stride, const int16_t *x, int pairs, int rows,
        int32_t *sums
    ) noexcept nogil
