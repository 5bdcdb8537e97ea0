// Fully connected layers. Forward and the input's gradient keep the images in lanes and
// the weights as broadcast operands; the weights' gradient, where a sum over lanes for
// each weight would be dear, runs along the inputs from image-major copies instead.

// R rows of y[rows][L] = bias + sum over depth of w[row][depth] * x[depth][L], the
// weight of (row, depth) lying at row * row_stride + depth * depth_stride.
template <int R>
static void product_tile(int64_t depth, const float* w, int64_t row_stride,
                         int64_t depth_stride, const float* x, const float* bias,
                         const ActivationRule* rectifier, float* y) {
    Vector sum[R][kParts];
    STRIATE_UNROLL
    for (int r = 0; r < R; ++r) {
        STRIATE_UNROLL
        for (int p = 0; p < kParts; ++p) sum[r][p] = broadcast(bias ? bias[r] : 0.0f);
    }
    for (int64_t k = 0; k < depth; ++k) {
        // Weights of the way back lie a row apart, often in another page each.
        if (depth_stride > 1) __builtin_prefetch(w + (k + 16) * depth_stride);
        Vector value[kParts];
        STRIATE_UNROLL
        for (int p = 0; p < kParts; ++p) value[p] = load(x + k * kLanes + p * kWidth);
        STRIATE_UNROLL
        for (int r = 0; r < R; ++r) {
            const Vector weight = broadcast(w[r * row_stride + k * depth_stride]);
            STRIATE_UNROLL
            for (int p = 0; p < kParts; ++p) sum[r][p] += weight * value[p];
        }
    }
    STRIATE_UNROLL
    for (int r = 0; r < R; ++r) {
        rectify(rectifier, sum[r]);
        STRIATE_UNROLL
        for (int p = 0; p < kParts; ++p) store(y + r * kLanes + p * kWidth, sum[r][p]);
    }
}

// Rows of a tile, beside the lanes of x and one weight. Forward they are weights of as
// many rows, which may lie whole pages apart: more than 8 lines of one set push each
// other out of the cache (a quarter of the time for 2048 inputs). Backward they lie
// side by side.
constexpr int kProductRows = kParts == 1        ? 8
                             : kParts == 2      ? 6
                             : kRegisters == 32 ? 6
                                                : 2;
constexpr int kGradientRows = kParts == 1 ? 16 : kProductRows;

template <int R>
static void product_rows(int64_t rows, int64_t depth, const float* w,
                         int64_t row_stride, int64_t depth_stride, const float* x,
                         const float* bias, const ActivationRule* rectifier, float* y) {
    int64_t row = 0;
    for (; row + R <= rows; row += R)
        product_tile<R>(depth, w + row * row_stride, row_stride, depth_stride, x,
                        bias ? bias + row : nullptr, rectifier, y + row * kLanes);
    if constexpr (R > 1) {
        if (row < rows)
            product_rows<R / 2>(rows - row, depth, w + row * row_stride, row_stride,
                                depth_stride, x, bias ? bias + row : nullptr, rectifier,
                                y + row * kLanes);
    }
}

static void dense_forward(int64_t D, int64_t O, const float* x, const float* w,
                          const float* bias, const ActivationRule* rectifier,
                          float* y) {
    product_rows<kProductRows>(O, D, w, D, 1, x, bias, rectifier, y);
}

static void dense_input_gradient(int64_t D, int64_t O, int64_t first, int64_t last,
                                 const float* w, const float* dy, float* dx) {
    product_rows<kGradientRows>(last - first, O, w + first, 1, D, dy, nullptr, nullptr,
                                dx);
}

// TR rows of dw[rows][D] by TV vectors from input d on, summed over the N images in
// order.
template <int TR, int TV>
static void outer_tile(int64_t N, int64_t D, int64_t d, const float* x,
                       int64_t x_stride, const float* dy, int64_t dy_stride,
                       float* dw) {
    Vector sum[TR][TV] = {};
    for (int64_t n = 0; n < N; ++n) {
        Vector value[TV];
        STRIATE_UNROLL
        for (int v = 0; v < TV; ++v) value[v] = load(x + n * x_stride + d + v * kWidth);
        STRIATE_UNROLL
        for (int r = 0; r < TR; ++r) {
            const Vector gradient = broadcast(dy[n * dy_stride + r]);
            STRIATE_UNROLL
            for (int v = 0; v < TV; ++v) sum[r][v] += gradient * value[v];
        }
    }
    STRIATE_UNROLL
    for (int r = 0; r < TR; ++r) {
        STRIATE_UNROLL
        for (int v = 0; v < TV; ++v) {
            const int64_t column = d + v * kWidth, left = D - column;
            const Vector total = sum[r][v];
            if (left >= kWidth) {
                store_loose(dw + r * D + column, total);
            } else if (left > 0) {
                memcpy(dw + r * D + column, &total, sizeof(float) * size_t(left));
            }
        }
    }
}

// Rows times vectors of a tile. Many rows: the inputs of all images, the longest way
// through memory, are then read once for as many.
constexpr int kOuterRows = kRegisters == 32 ? 12 : 6;
constexpr int kOuterVectors = 2;

template <int TR>
static void outer_rows(int64_t N, int64_t D, int64_t rows, const float* x,
                       int64_t x_stride, const float* dy, int64_t dy_stride,
                       float* dw) {
    int64_t row = 0;
    for (; row + TR <= rows; row += TR) {
        int64_t d = 0;
        for (; d + kWidth < D; d += kOuterVectors * kWidth)
            outer_tile<TR, kOuterVectors>(N, D, d, x, x_stride, dy + row, dy_stride,
                                          dw + row * D);
        if (d < D)
            outer_tile<TR, 1>(N, D, d, x, x_stride, dy + row, dy_stride, dw + row * D);
    }
    if constexpr (TR > 1) {
        if (row < rows)
            outer_rows<TR / 2>(N, D, rows - row, x, x_stride, dy + row, dy_stride,
                               dw + row * D);
    }
}

static void dense_weight_gradient(int64_t N, int64_t D, int64_t first, int64_t last,
                                  const float* x, int64_t x_stride, const float* dy,
                                  int64_t dy_stride, float* dw, float* db) {
    outer_rows<kOuterRows>(N, D, last - first, x, x_stride, dy + first, dy_stride,
                           dw + first * D);
    if (!db) return;
    for (int64_t o = first; o < last; o += kWidth) {
        const int64_t begin = o + kWidth <= dy_stride ? o : dy_stride - kWidth;
        const int64_t end = o + kWidth < last ? o + kWidth : last;
        Vector sum = {};
        for (int64_t n = 0; n < N; ++n) sum += load_loose(dy + n * dy_stride + begin);
        for (int64_t i = o; i < end; ++i) db[i] = sum[i - begin];
    }
}
