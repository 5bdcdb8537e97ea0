// Winograd's minimal filtering (Lavin and Gray 2016): M x M outputs from a 6 x 6 patch
// d of the input and a K x K kernel g, K = 3 and M = 4 or K = 5 and M = 2, by 36
// multiplications, not 144 or 100:
//     Y = A' [sum over c of (G g G') * (B' d B)] A,
// where * is by element. Each 1D transform evaluates polynomials at the points 0, a,
// -a, b, -b and infinity. With images in lanes all transforms are sums of vectors, and
// the middle is 36 products of matrices: convolutions with 1 x 1 kernels over the
// tiles. winograd_gradients.inl is the way back.

constexpr float kA = kWinogradNear, kB = kWinogradFar;
constexpr float kA2 = kA * kA, kB2 = kB * kB;
constexpr float kPowersA[] = {1.0f, kA, kA2, kA2* kA, kA2* kA2};
constexpr float kPowersB[] = {1.0f, kB, kB2, kB2* kB, kB2* kB2};
// What the rows of G are divided by: for 0, +-a and +-b.
constexpr float kG0 = 1.0f / (kA2 * kB2);
constexpr float kGA = 1.0f / (2.0f * kA2 * (kA2 - kB2));
constexpr float kGB = 1.0f / (2.0f * kB2 * (kB2 - kA2));

constexpr int kPoints = 36, kPatch = 6;

// Kernels::transforms, measured: with few registers transforms and short products take
// nearly twice the instructions, while direct convolution is as fast as with many.
constexpr double kTransforms = kRegisters == 32 ? 6.5 : 11.0;

// B' d
STRIATE_INLINE void transform_patch(const Vector (&d)[6], Vector (&v)[6]) {
    const Vector even_a = d[4] - kB2 * d[2], odd_a = d[3] - kB2 * d[1];
    const Vector even_b = d[4] - kA2 * d[2], odd_b = d[3] - kA2 * d[1];
    v[0] = (d[4] - (kA2 + kB2) * d[2]) + (kA2 * kB2) * d[0];
    v[1] = even_a + kA * odd_a;
    v[2] = even_a - kA * odd_a;
    v[3] = even_b + kB * odd_b;
    v[4] = even_b - kB * odd_b;
    v[5] = (d[5] - (kA2 + kB2) * d[3]) + (kA2 * kB2) * d[1];
}

// The polynomial of N coefficients at the six points, those of 0, a and b scaled: G g
// and A g.
template <int N>
STRIATE_INLINE void evaluate(const Vector (&g)[N], float zero, float near, float far,
                             Vector (&u)[6]) {
    Vector even_a = near * g[0], odd_a = (near * kA) * g[1];
    Vector even_b = far * g[0], odd_b = (far * kB) * g[1];
    STRIATE_UNROLL
    for (int k = 2; k < N; ++k) {
        (k % 2 ? odd_a : even_a) += (near * kPowersA[k]) * g[k];
        (k % 2 ? odd_b : even_b) += (far * kPowersB[k]) * g[k];
    }
    u[0] = zero * g[0];
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = g[N - 1];
}

// Its adjoint: A' m and G' m.
template <int N>
STRIATE_INLINE void combine(const Vector (&m)[6], float zero, float near, float far,
                            Vector (&y)[N]) {
    const Vector even_a = m[1] + m[2], odd_a = m[1] - m[2];
    const Vector even_b = m[3] + m[4], odd_b = m[3] - m[4];
    STRIATE_UNROLL
    for (int k = 0; k < N; ++k)
        y[k] = (near * kPowersA[k]) * (k % 2 ? odd_a : even_a) +
               (far * kPowersB[k]) * (k % 2 ? odd_b : even_b);
    y[0] += zero * m[0];
    y[N - 1] += m[5];
}

// u[36][rows][columns], its matrices `stride` apart, from kernels of K x K taps that
// lie row_step and column_step apart, in the order of the taps or in reverse. Vectors
// run along the columns, the last one of a row over its end: the next row follows it,
// and behind the last one there is room.
template <int K>
static void winograd_kernels(int64_t rows, int64_t columns, const float* w,
                             int64_t row_step, int64_t column_step, bool reverse,
                             float* u, int64_t stride) {
    for (int64_t row = 0; row < rows; ++row) {
        for (int64_t column = 0; column < columns; column += kWidth) {
            alignas(64) float taps[K * K][kWidth] = {};
            const int64_t left = columns - column;
            for (int64_t i = 0; i < (left < kWidth ? left : kWidth); ++i) {
                const float* kernel = w + row * row_step + (column + i) * column_step;
                for (int t = 0; t < K * K; ++t)
                    taps[t][i] = kernel[reverse ? K * K - 1 - t : t];
            }
            Vector half[K][6];
            STRIATE_UNROLL
            for (int j = 0; j < K; ++j) {
                Vector down[K];
                STRIATE_UNROLL
                for (int i = 0; i < K; ++i) down[i] = load(taps[i * K + j]);
                evaluate(down, kG0, kGA, kGB, half[j]);
            }
            float* to = u + row * columns + column;
            STRIATE_UNROLL
            for (int i = 0; i < 6; ++i) {
                Vector across[K], whole[6];
                STRIATE_UNROLL
                for (int j = 0; j < K; ++j) across[j] = half[j][i];
                evaluate(across, kG0, kGA, kGB, whole);
                STRIATE_UNROLL
                for (int j = 0; j < 6; ++j)
                    store_loose(to + (i * 6 + j) * stride, whole[j]);
            }
        }
    }
}

// A window of planes [channels][H][W][L] that is cut into square tiles, row by row;
// those at its lower and right edge may reach beyond it.
struct TiledWindow {
    int64_t H, W, top, left, rows, columns, tile;
};
struct Tile {
    int64_t row, column;
};
STRIATE_INLINE int64_t tiles_across(const TiledWindow& window) {
    return (window.columns + window.tile - 1) / window.tile;
}
STRIATE_INLINE int64_t tiles_of(const TiledWindow& window) {
    return (window.rows + window.tile - 1) / window.tile * tiles_across(window);
}
STRIATE_INLINE Tile tile_at(const TiledWindow& window, int64_t t) {
    const int64_t across = tiles_across(window);
    return {window.top + t / across * window.tile,
            window.left + t % across * window.tile};
}
// Dividing anew for each tile would cost a third as much as its transform.
STRIATE_INLINE void advance(const TiledWindow& window, Tile& tile) {
    tile.column += window.tile;
    if (tile.column < window.left + window.columns) return;
    tile.column = window.left;
    tile.row += window.tile;
}

// One patch of a plane from (row, column) on, transformed: to v, its values `stride`
// apart. What lies outside of the plane is zero.
template <bool kInside>
STRIATE_INLINE void patch_to_points(const float* plane, const TiledWindow& in,
                                    int64_t row, int64_t column, float* v,
                                    int64_t stride) {
    const float* corner = plane + (row * in.W + column) * kLanes;
    // Half of the rows at a time: 36 values do not fit the registers.
    STRIATE_UNROLL
    for (int top = 0; top < 6; top += 3) {
        Vector half[6][3];
        STRIATE_UNROLL
        for (int j = 0; j < 6; ++j) {
            Vector down[6], all[6];
            STRIATE_UNROLL
            for (int i = 0; i < 6; ++i) {
                const bool there = kInside || (uint64_t(row + i) < uint64_t(in.H) &&
                                               uint64_t(column + j) < uint64_t(in.W));
                down[i] = there ? load(corner + (i * in.W + j) * kLanes) : Vector{};
            }
            transform_patch(down, all);
            STRIATE_UNROLL
            for (int i = 0; i < 3; ++i) half[j][i] = all[top + i];
        }
        STRIATE_UNROLL
        for (int i = 0; i < 3; ++i) {
            const Vector across[6] = {half[0][i], half[1][i], half[2][i],
                                      half[3][i], half[4][i], half[5][i]};
            Vector whole[6];
            transform_patch(across, whole);
            STRIATE_UNROLL
            for (int j = 0; j < 6; ++j) {
                store(v, whole[j]);
                v += stride;
                asm("" : "+r"(v));
            }
        }
    }
}

// v[36][channels][last - first][L], its matrices `stride` apart: the patches of the
// tiles [first, last), whose corners are those of the window's tiles.
static void patches_to_points(const float* x, int64_t channels, const TiledWindow& in,
                              int64_t first, int64_t last, float* v, int64_t stride) {
    for (int64_t c = 0; c < channels; ++c) {
        const float* plane = x + c * in.H * in.W * kLanes;
        Tile tile = tile_at(in, first);
        for (int64_t t = first; t < last; ++t, advance(in, tile)) {
            const int64_t row = tile.row, column = tile.column;
            const bool inside = row >= 0 && column >= 0 && row + kPatch <= in.H &&
                                column + kPatch <= in.W;
            float* to = v + (c * (last - first) + t - first) * kLanes;
            for (int part = 0; part < kLanes; part += kWidth) {
                if (inside) {
                    patch_to_points<true>(plane + part, in, row, column, to + part,
                                          stride);
                } else {
                    patch_to_points<false>(plane + part, in, row, column, to + part,
                                           stride);
                }
            }
        }
    }
}

// The tiles [first, last) of y's window from m[36][channels][last - first][L], plus
// bias[channels], which may be null.
template <int M>
static void points_to_tiles(const float* m, int64_t stride, const float* bias,
                            int64_t channels, const TiledWindow& out, int64_t first,
                            int64_t last, float* y) {
    const int64_t bottom = out.top + out.rows, right = out.left + out.columns;
    for (int64_t o = 0; o < channels; ++o) {
        const Vector offset = broadcast(bias ? bias[o] : 0.0f);
        Tile tile = tile_at(out, first);
        for (int64_t t = first; t < last; ++t, advance(out, tile)) {
            const int64_t row = tile.row, column = tile.column;
            const bool whole = row + M <= bottom && column + M <= right;
            for (int part = 0; part < kLanes; part += kWidth) {
                const float* from =
                    m + (o * (last - first) + t - first) * kLanes + part;
                float* to = y + ((o * out.H + row) * out.W + column) * kLanes + part;
                Vector half[6][M];
                STRIATE_UNROLL
                for (int j = 0; j < 6; ++j) {
                    Vector down[6];
                    STRIATE_UNROLL
                    for (int i = 0; i < 6; ++i)
                        down[i] = load(from + (i * 6 + j) * stride);
                    combine(down, 1.0f, 1.0f, 1.0f, half[j]);
                }
                STRIATE_UNROLL
                for (int i = 0; i < M; ++i) {
                    const Vector across[6] = {half[0][i], half[1][i], half[2][i],
                                              half[3][i], half[4][i], half[5][i]};
                    Vector values[M];
                    combine(across, 1.0f, 1.0f, 1.0f, values);
                    STRIATE_UNROLL
                    for (int j = 0; j < M; ++j)
                        if (whole || (row + i < bottom && column + j < right))
                            store(to + (i * out.W + j) * kLanes, values[j] + offset);
                }
            }
        }
    }
}

// Room for so many values, and a cache line more: at powers of two apart, the 36 places
// of a patch's values would share one set of the cache.
STRIATE_INLINE int64_t points_stride(int64_t values) {
    return (values + kLanes - 1) / kLanes * kLanes + kLanes;
}

// y's window [O] from the patches of x [C] at the window `in`, by transformed kernels
// u[36][O][C]: what the forward pass and the gradient of the input have in common.
template <int M>
static void winograd_pass(const float* x, int64_t C, const TiledWindow& in,
                          const float* u, int64_t u_stride, const float* bias, float* y,
                          int64_t O, const TiledWindow& out, float* scratch) {
    const Cut groups = cut(tiles_of(out), kWinogradTiles);
    for (int64_t g = 0; g < groups.parts; ++g) {
        const int64_t first = cut_begin(groups, g), last = cut_begin(groups, g + 1);
        const int64_t tiles = last - first;
        const int64_t v_stride = points_stride(C * tiles * kLanes);
        const int64_t m_stride = points_stride(O * tiles * kLanes);
        float *v = scratch, *m = scratch + kPoints * v_stride;
        patches_to_points(x, C, in, first, last, v, v_stride);
        const ConvShape product = {C, 1, tiles, O, 1, tiles, 1, 1, 1, 1, 1, 1, 1};
        for (int p = 0; p < kPoints; ++p)
            conv_forward(product, v + p * v_stride, u + p * u_stride, nullptr, nullptr,
                         m + p * m_stride);
        points_to_tiles<M>(m, m_stride, bias, O, out, first, last, y);
    }
}

template <int K>
static void winograd_forward(const ConvShape& s, const float* x, const float* w,
                             const float* bias, float* y, float* scratch) {
    const int64_t stride = points_stride(s.O * s.C);
    winograd_kernels<K>(s.O, s.C, w, K * K * s.C, K * K, false, scratch, stride);
    const TiledWindow in = {s.H, s.W, 0, 0, s.OH, s.OW, 7 - K};
    const TiledWindow out = {s.OH, s.OW, 0, 0, s.OH, s.OW, 7 - K};
    winograd_pass<7 - K>(x, s.C, in, scratch, stride, bias, y, s.O, out,
                         scratch + kPoints * stride);
}

static void winograd_forward(const WinogradShape& shape, const float* x, const float* w,
                             const float* bias, float* y, float* scratch) {
    const auto pass = shape.conv.KW == 3 ? winograd_forward<3> : winograd_forward<5>;
    pass(shape.conv, x, w, bias, y, scratch);
}
