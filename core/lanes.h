// The lanes of a block as native vectors of the instruction set this file is compiled
// for. 16 lanes are one register under AVX-512, two under AVX2, four under SSE and
// NEON; 8 lanes are one under AVX-512, whose 32 registers may be of that width, and
// AVX2, two under the others.
// Included only by table.cpp, inside that instruction set's own namespace, so that
// nothing here is shared with code compiled for another one.

#if defined(__AVX512F__) && STRIATE_LANES == 16
#define STRIATE_WIDTH 16
#elif defined(__AVX2__)
#define STRIATE_WIDTH 8
#else
#define STRIATE_WIDTH 4
#endif
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRegisters = 32;
#else
constexpr int kRegisters = 16;
#endif
constexpr int kLanes = STRIATE_LANES, kWidth = STRIATE_WIDTH;
constexpr int kParts = kLanes / kWidth;

typedef float Vector __attribute__((vector_size(4 * kWidth)));
typedef int32_t IntVector __attribute__((vector_size(4 * kWidth)));
typedef float LooseVector __attribute__((vector_size(4 * kWidth), aligned(4)));

// Tiles are unrolled by hand: left alone, GCC keeps some of their accumulators in
// memory, which costs a quarter of the speed.
#if defined(__clang__)
#define STRIATE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define STRIATE_UNROLL _Pragma("GCC unroll 64")
#endif
#define STRIATE_INLINE inline __attribute__((always_inline))

STRIATE_INLINE Vector load(const float* p) {
    return *reinterpret_cast<const Vector*>(p);
}
// The same for a value that several products need: left alone, compilers load it anew
// for each, and tiles of few taps then wait for the loads (half the speed for 1 x 1
// kernels). SSE has no registers to spare for it, others have no operands in memory.
STRIATE_INLINE Vector held(Vector v) {
#if defined(__AVX512F__)
    asm("" : "+v"(v));
#elif defined(__AVX2__)
    asm("" : "+x"(v));
#endif
    return v;
}
STRIATE_INLINE Vector load_held(const float* p) { return held(load(p)); }
// The opposite, where registers are short: of what lies at this address the compiler
// knows nothing yet, so that it does not keep, and spill, what it has loaded before.
STRIATE_INLINE const float* load_anew(const float* p) {
    asm("" : "+r"(p));
    return p;
}
STRIATE_INLINE void store(float* p, Vector v) { *reinterpret_cast<Vector*>(p) = v; }
STRIATE_INLINE Vector load_loose(const float* p) {
    return *reinterpret_cast<const LooseVector*>(p);
}
STRIATE_INLINE void store_loose(float* p, Vector v) {
    *reinterpret_cast<LooseVector*>(p) = v;
}
// Subtracting zero changes no number, so that compilers leave it out; adding it would
// turn -0 into 0, and costs an addition for each weight.
STRIATE_INLINE Vector broadcast(float value) { return value - Vector{}; }
STRIATE_INLINE Vector select(IntVector mask, Vector yes, Vector no) {
    return mask ? yes : no;
}

// Two vectors cut into blocks of S lanes: the even blocks of both, taking turns, and
// the odd ones.
template <int S>
STRIATE_INLINE Vector even_blocks(Vector a, Vector b) {
#if defined(__clang__)
    Vector even;
    STRIATE_UNROLL
    for (int i = 0; i < kWidth; ++i) even[i] = i & S ? b[i - S] : a[i];
    return even;
#else
    IntVector from;
    STRIATE_UNROLL
    for (int i = 0; i < kWidth; ++i) from[i] = i & S ? kWidth + i - S : i;
    return __builtin_shuffle(a, b, from);
#endif
}
template <int S>
STRIATE_INLINE Vector odd_blocks(Vector a, Vector b) {
#if defined(__clang__)
    Vector odd;
    STRIATE_UNROLL
    for (int i = 0; i < kWidth; ++i) odd[i] = i & S ? b[i] : a[i + S];
    return odd;
#else
    IntVector from;
    STRIATE_UNROLL
    for (int i = 0; i < kWidth; ++i) from[i] = i & S ? kWidth + i : i + S;
    return __builtin_shuffle(a, b, from);
#endif
}

// Lane i of vector k becomes lane k of vector i.
template <int S = 1>
STRIATE_INLINE void transpose(Vector* v) {
    if constexpr (S < kWidth) {
        STRIATE_UNROLL
        for (int i = 0; i < kWidth; ++i) {
            if (i & S) continue;
            const Vector a = v[i], b = v[i + S];
            v[i] = even_blocks<S>(a, b);
            v[i + S] = odd_blocks<S>(a, b);
        }
        transpose<2 * S>(v);
    }
}

// Lane i is the sum over the lanes of v[i], for N <= kWidth vectors: a transposition
// that adds on its way. Three instructions a sum, where adding up each vector by itself
// takes thirty (a tenth of the time of weight gradients on 10 x 10 maps).
template <int N, int S = 1>
STRIATE_INLINE Vector sums_over_lanes(const Vector* v) {
    if constexpr (S == kWidth) {
        return v[0];
    } else {
        constexpr int kPairs = (N + 1) / 2;
        Vector sum[kPairs];
        STRIATE_UNROLL
        for (int i = 0; i < kPairs; ++i) {
            const Vector a = v[2 * i], b = v[2 * i + 1 < N ? 2 * i + 1 : 2 * i];
            sum[i] = even_blocks<S>(a, b) + odd_blocks<S>(a, b);
        }
        return sums_over_lanes<kPairs, 2 * S>(sum);
    }
}
// The same for any number of vectors.
template <int N>
STRIATE_INLINE void sum_lanes(const Vector* v, float* sums) {
    constexpr int kNow = N < kWidth ? N : kWidth;
    const Vector sum = sums_over_lanes<kNow>(v);
    STRIATE_UNROLL
    for (int i = 0; i < kNow; ++i) sums[i] = sum[i];
    if constexpr (N > kWidth) sum_lanes<N - kWidth>(v + kWidth, sums + kWidth);
}

// a[0] b[0] a[1] b[1] ... of the lower half of both, or of the upper half.
#if defined(__clang__)
#define STRIATE_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define STRIATE_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, IntVector{__VA_ARGS__})
#endif
STRIATE_INLINE Vector interleave_low(Vector a, Vector b) {
#if STRIATE_WIDTH == 16
    return STRIATE_SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7,
                           23);
#elif STRIATE_WIDTH == 8
    return STRIATE_SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#else
    return STRIATE_SHUFFLE(a, b, 0, 4, 1, 5);
#endif
}
STRIATE_INLINE Vector interleave_high(Vector a, Vector b) {
#if STRIATE_WIDTH == 16
    return STRIATE_SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30,
                           15, 31);
#elif STRIATE_WIDTH == 8
    return STRIATE_SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
    return STRIATE_SHUFFLE(a, b, 2, 6, 3, 7);
#endif
}
#undef STRIATE_SHUFFLE

// Rows become columns: each round interleaves the two halves of the rows.
STRIATE_INLINE void transpose(Vector (&rows)[kWidth]) {
    STRIATE_UNROLL
    for (int round = 1; round < kWidth; round *= 2) {
        Vector old[kWidth];
        STRIATE_UNROLL
        for (int i = 0; i < kWidth; ++i) old[i] = rows[i];
        STRIATE_UNROLL
        for (int i = 0; i < kWidth / 2; ++i) {
            rows[2 * i] = interleave_low(old[i], old[i + kWidth / 2]);
            rows[2 * i + 1] = interleave_high(old[i], old[i + kWidth / 2]);
        }
    }
}

// All lanes at once, for operations that are bound by memory and need no tiles.
struct Lanes {
    Vector part[kParts];
};
STRIATE_INLINE Lanes load_lanes(const float* p) {
    Lanes lanes;
    STRIATE_UNROLL
    for (int i = 0; i < kParts; ++i) lanes.part[i] = load(p + i * kWidth);
    return lanes;
}
STRIATE_INLINE void store_lanes(float* p, const Lanes& lanes) {
    STRIATE_UNROLL
    for (int i = 0; i < kParts; ++i) store(p + i * kWidth, lanes.part[i]);
}
STRIATE_INLINE void clear(float* lanes, int64_t count) {
    memset(lanes, 0, sizeof(float) * size_t(count * kLanes));
}
STRIATE_INLINE Lanes operator+(Lanes a, const Lanes& b) {
    STRIATE_UNROLL
    for (int i = 0; i < kParts; ++i) a.part[i] += b.part[i];
    return a;
}
STRIATE_INLINE Lanes operator*(Lanes a, float factor) {
    STRIATE_UNROLL
    for (int i = 0; i < kParts; ++i) a.part[i] *= factor;
    return a;
}

// The sum of count lanes-wide values, in several sums to hide the latency of additions.
STRIATE_INLINE float sum_all(const float* values, int64_t count) {
    constexpr int kSums = 4;
    Vector sum[kSums] = {};
    const int64_t end = count * kLanes;
    int64_t i = 0;
    for (; i + kSums * kWidth <= end; i += kSums * kWidth) {
        STRIATE_UNROLL
        for (int k = 0; k < kSums; ++k) sum[k] += load(values + i + k * kWidth);
    }
    for (; i < end; i += kWidth) sum[0] += load(values + i);
    const Vector all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    return sums_over_lanes<1>(&all)[0];
}

// exp(x) to about one unit in the last place, Cody and Waite's reduction and the
// minimax polynomial of Cephes' expf; overflow saturates near the largest float.
STRIATE_INLINE Vector exponential(Vector x) {
    const Vector high = broadcast(88.3762626647949f), low = broadcast(-87.336544f);
    x = select(x > high, high, x);
    x = select(x < low, low, x);
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
    const Vector magic = broadcast(12582912.0f);
    const Vector shifted = x * 1.44269504088896341f + magic;
    const Vector n = shifted - magic;
    const Vector r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    Vector p = broadcast(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const IntVector exponent = ((IntVector)shifted - (IntVector)magic) << 23;
    return (Vector)((IntVector)p + exponent);
}

// tanh(x): Cephes' polynomial near zero, where 1 - 2 / (exp(2x) + 1) cancels.
STRIATE_INLINE Vector hyperbolic_tangent(Vector x) {
    const Vector z = x * x;
    Vector p = broadcast(-5.70498872745e-3f);
    p = p * z + 2.06390887954e-2f;
    p = p * z + -5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z + -3.33332819422e-1f;
    const Vector near_zero = p * z * x + x;
    const Vector far = 1.0f - 2.0f / (exponential(x + x) + 1.0f);
    return select(z < 0.390625f, near_zero, far);
}
