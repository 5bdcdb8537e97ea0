// Winograd's minimal filtering, backward: gradient of the input, gradient of the
// weights.

// Zeros around the window of planes x[channels][H][W][L].
static void clear_around(const TiledWindow& window, int64_t channels, float* x) {
    const auto clear = [x](int64_t from, int64_t to) {
        memset(x + from * kLanes, 0, sizeof(float) * size_t((to - from) * kLanes));
    };
    for (int64_t row = 0; row < channels * window.H; ++row) {
        const int64_t inside = row % window.H - window.top, begin = row * window.W;
        const bool crosses = inside >= 0 && inside < window.rows;
        clear(begin, begin + (crosses ? window.left : window.W));
        if (crosses) clear(begin + window.left + window.columns, begin + window.W);
    }
}

// The gradient of the input is a convolution too, of the output's gradient with zeros
// around it and kernels turned by half a circle, from O channels to [first, last) of C.
template <int K>
static void winograd_input_gradient(const WinogradShape& shape, int64_t first,
                                    int64_t last, const float* w, const float* dy,
                                    float* dx, float* scratch) {
    const ConvShape& s = shape.conv;
    const int64_t channels = last - first, stride = points_stride(channels * s.O);
    winograd_kernels<K>(channels, s.O, w + first * K * K, K * K, K * K * s.C, true,
                        scratch, stride);
    const TiledWindow in = {
        s.OH,          s.OW, shape.top - (K - 1), shape.left - (K - 1), shape.rows,
        shape.columns, 7 - K};
    const TiledWindow out = {s.H,        s.W,           shape.top, shape.left,
                             shape.rows, shape.columns, 7 - K};
    clear_around(out, channels, dx);
    winograd_pass<7 - K>(dy, s.O, in, scratch, stride, nullptr, dx, channels, out,
                         scratch + kPoints * stride);
}

static void winograd_input_gradient(const WinogradShape& shape, int64_t first,
                                    int64_t last, const float* w, const float* dy,
                                    float* dx, float* scratch) {
    const auto pass =
        shape.conv.KW == 3 ? winograd_input_gradient<3> : winograd_input_gradient<5>;
    pass(shape, first, last, w, dy, dx, scratch);
}

// ---- gradient of the weights --------------------------------------------------------
//
// dg = G' [sum over tiles and images of (A dY A') * (B' d B)] G. A sum over lanes for
// each of the 36 C O places would be dear. Instead the output's gradient is turned so
// that lanes are 16 output channels; the middle is then 36 products of matrices whose
// inner dimension is tiles and images, with the patches as broadcast operands.

// The 16 images of 16 channels (those beyond `channels` are zero) at one place, turned:
// turned[image][channel] from x[channel][image], channels `plane` apart.
STRIATE_INLINE void turn_lanes(const float* x, int64_t plane, int64_t channels,
                               float* turned) {
    for (int top = 0; top < kLanes; top += kWidth) {
        for (int left = 0; left < kLanes; left += kWidth) {
            Vector block[kWidth];
            STRIATE_UNROLL
            for (int i = 0; i < kWidth; ++i)
                block[i] =
                    top + i < channels ? load(x + (top + i) * plane + left) : Vector{};
            transpose(block);
            STRIATE_UNROLL
            for (int i = 0; i < kWidth; ++i)
                store(turned + (left + i) * kLanes + top, block[i]);
        }
    }
}

// p[36][last - first][L images][units], its matrices `stride` apart, from the tiles
// [first, last) of dy[O]; units is O up to the next multiple of 16.
template <int M>
static void gradients_to_points(const float* dy, int64_t O, const TiledWindow& out,
                                int64_t first, int64_t last, float* p, int64_t units,
                                int64_t stride) {
    const int64_t plane = out.H * out.W * kLanes;
    Tile tile = tile_at(out, first);
    for (int64_t t = first; t < last; ++t, advance(out, tile)) {
        const int64_t row = tile.row, column = tile.column;
        for (int64_t o = 0; o < O; o += kLanes) {
            alignas(64) float turned[M * M][kLanes * kLanes];
            for (int i = 0; i < M; ++i)
                for (int j = 0; j < M; ++j) {
                    const bool there = row + i < out.H && column + j < out.W;
                    turn_lanes(
                        dy + o * plane + ((row + i) * out.W + column + j) * kLanes,
                        plane, there ? O - o : 0, turned[i * M + j]);
                }
            float* to = p + (t - first) * kLanes * units + o;
            for (int image = 0; image < kLanes; ++image) {
                for (int part = 0; part < kLanes; part += kWidth) {
                    Vector half[M][6];
                    STRIATE_UNROLL
                    for (int j = 0; j < M; ++j) {
                        Vector down[M];
                        STRIATE_UNROLL
                        for (int i = 0; i < M; ++i)
                            down[i] = load(turned[i * M + j] + image * kLanes + part);
                        evaluate(down, 1.0f, 1.0f, 1.0f, half[j]);
                    }
                    STRIATE_UNROLL
                    for (int i = 0; i < 6; ++i) {
                        Vector across[M], whole[6];
                        STRIATE_UNROLL
                        for (int j = 0; j < M; ++j) across[j] = half[j][i];
                        evaluate(across, 1.0f, 1.0f, 1.0f, whole);
                        STRIATE_UNROLL
                        for (int j = 0; j < 6; ++j)
                            store(to + image * units + part + (i * 6 + j) * stride,
                                  whole[j]);
                    }
                }
            }
        }
    }
}

// z[TR rows][TV vectors of units] += sum over depth of v[row][depth] p[depth][units]
template <int TR, int TV>
static void sum_tile(int64_t depth, const float* v, const float* p, int64_t units,
                     float* z) {
    Vector sum[TR][TV];
    STRIATE_UNROLL
    for (int r = 0; r < TR; ++r) {
        STRIATE_UNROLL
        for (int i = 0; i < TV; ++i) sum[r][i] = load(z + r * units + i * kWidth);
    }
    for (int64_t k = 0; k < depth; ++k) {
        Vector value[TV];
        STRIATE_UNROLL
        for (int i = 0; i < TV; ++i) value[i] = load_held(p + k * units + i * kWidth);
        STRIATE_UNROLL
        for (int r = 0; r < TR; ++r) {
            const Vector factor = broadcast(v[r * depth + k]);
            STRIATE_UNROLL
            for (int i = 0; i < TV; ++i) sum[r][i] += factor * value[i];
        }
    }
    STRIATE_UNROLL
    for (int r = 0; r < TR; ++r) {
        STRIATE_UNROLL
        for (int i = 0; i < TV; ++i) store(z + r * units + i * kWidth, sum[r][i]);
    }
}

constexpr int kSumRows = kRegisters == 32 ? 8 : 6;

template <int TR>
static void sum_rows(int64_t rows, int64_t depth, const float* v, const float* p,
                     int64_t units, float* z) {
    int64_t row = 0;
    for (; row + TR <= rows; row += TR) {
        int64_t o = 0;
        for (; o + 2 * kWidth <= units; o += 2 * kWidth)
            sum_tile<TR, 2>(depth, v + row * depth, p + o, units, z + row * units + o);
        for (; o < units; o += kWidth)
            sum_tile<TR, 1>(depth, v + row * depth, p + o, units, z + row * units + o);
    }
    if constexpr (TR > 1) {
        if (row < rows)
            sum_rows<TR / 2>(rows - row, depth, v + row * depth, p, units,
                             z + row * units);
    }
}

// dw[O][C][K][K] += G' z G, from z[36][C][units].
template <int K>
static void points_to_kernels(const float* z, int64_t stride, int64_t units, int64_t O,
                              int64_t C, float* dw) {
    for (int64_t c = 0; c < C; ++c) {
        for (int64_t o = 0; o < O; o += kWidth) {
            Vector half[6][K];
            STRIATE_UNROLL
            for (int j = 0; j < 6; ++j) {
                Vector down[6];
                STRIATE_UNROLL
                for (int i = 0; i < 6; ++i)
                    down[i] = load(z + (i * 6 + j) * stride + c * units + o);
                combine(down, kG0, kGA, kGB, half[j]);
            }
            alignas(64) float taps[K * K][kWidth];
            STRIATE_UNROLL
            for (int i = 0; i < K; ++i) {
                const Vector across[6] = {half[0][i], half[1][i], half[2][i],
                                          half[3][i], half[4][i], half[5][i]};
                Vector whole[K];
                combine(across, kG0, kGA, kGB, whole);
                STRIATE_UNROLL
                for (int j = 0; j < K; ++j) store(taps[i * K + j], whole[j]);
            }
            for (int64_t i = 0; i < (O - o < kWidth ? O - o : kWidth); ++i)
                for (int t = 0; t < K * K; ++t)
                    dw[((o + i) * C + c) * K * K + t] += taps[t][i];
        }
    }
}

template <int K>
static void winograd_weight_gradient(const ConvShape& s, const float* x,
                                     const float* dy, float* dw, float* scratch) {
    const int64_t units = (s.O + kLanes - 1) / kLanes * kLanes;
    const int64_t z_stride = points_stride(s.C * units);
    float* z = scratch;
    memset(z, 0, sizeof(float) * size_t(kPoints * z_stride));
    const TiledWindow in = {s.H, s.W, 0, 0, s.OH, s.OW, 7 - K};
    const TiledWindow out = {s.OH, s.OW, 0, 0, s.OH, s.OW, 7 - K};
    const Cut groups = cut(tiles_of(out), kWinogradTiles);
    for (int64_t g = 0; g < groups.parts; ++g) {
        const int64_t first = cut_begin(groups, g), last = cut_begin(groups, g + 1);
        const int64_t depth = (last - first) * kLanes;
        const int64_t v_stride = points_stride(s.C * depth);
        const int64_t p_stride = points_stride(depth * units);
        float *v = z + kPoints * z_stride, *p = v + kPoints * v_stride;
        patches_to_points(x, s.C, in, first, last, v, v_stride);
        gradients_to_points<7 - K>(dy, s.O, out, first, last, p, units, p_stride);
        for (int i = 0; i < kPoints; ++i)
            sum_rows<kSumRows>(s.C, depth, v + i * v_stride, p + i * p_stride, units,
                               z + i * z_stride);
    }
    points_to_kernels<K>(z, z_stride, units, s.O, s.C, dw);
}

static void winograd_weight_gradient(const WinogradShape& shape, const float* x,
                                     const float* dy, float* dw, float* db,
                                     float* scratch) {
    const auto pass =
        shape.conv.KW == 3 ? winograd_weight_gradient<3> : winograd_weight_gradient<5>;
    pass(shape.conv, x, dy, dw, scratch);
    if (db) bias_gradient(shape.conv, dy, db);
}
