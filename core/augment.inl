// Augmentation: a block's images resampled, each by its own map, and changed in value.

typedef uint32_t UnsignedVector __attribute__((vector_size(4 * kWidth)));

STRIATE_INLINE Vector limited(Vector v, Vector low, Vector high) {
    v = select(v < low, low, v);
    return select(v > high, high, v);
}

// The four weights of a cubic B-spline at a position in its cell; returns the cell.
static int64_t spline_weights(float position, float* weights) {
    const int64_t cell = int64_t(position);
    const float u = position - float(cell), v = 1.0f - u;
    weights[0] = v * v * v * (1.0f / 6.0f);
    weights[1] = 2.0f / 3.0f - u * u + 0.5f * (u * u * u);
    weights[2] = 2.0f / 3.0f - v * v + 0.5f * (v * v * v);
    weights[3] = u * u * u * (1.0f / 6.0f);
    return cell;
}

// scratch[2][GW][L]: the grid's columns as they stand at row h. The spline is
// separable, so that a pixel then takes 4 products each way and not 16.
static void spline_row(const Warp<float>& warp, int64_t h) {
    float weights[4];
    const int64_t cell = spline_weights(float(h) / float(warp.spacing), weights);
    const int64_t stride = warp.GW * kLanes;
    for (int axis = 0; axis < 2; ++axis) {
        const float* from = warp.grid + (axis * warp.GH + cell) * stride;
        float* to = warp.scratch + axis * stride;
        for (int64_t i = 0; i < stride; i += kWidth)
            store(to + i, load(from + i) * weights[0] +
                              load(from + stride + i) * weights[1] +
                              load(from + 2 * stride + i) * weights[2] +
                              load(from + 3 * stride + i) * weights[3]);
    }
}

STRIATE_INLINE Vector spline_at(const float* points, const float* weights) {
    return load(points) * weights[0] + load(points + kLanes) * weights[1] +
           load(points + 2 * kLanes) * weights[2] +
           load(points + 3 * kLanes) * weights[3];
}

// Where pixel (h, w) of every lane comes from: the frame's pixel above and left of it,
// and how far down and across from there it lies.
STRIATE_INLINE void locate(const PixelShape& s, const Warp<float>& warp, int64_t h,
                           int64_t w, int32_t* corner, float* down, float* across) {
    const Vector last_row = broadcast(float(s.H + 1));
    const Vector last_column = broadcast(float(s.W + 1));
    float weights[4];
    int64_t cell = 0;
    if (warp.grid) cell = spline_weights(float(w) / float(warp.spacing), weights);
    for (int part = 0; part < kLanes; part += kWidth) {
        const float* map = warp.map + part;
        Vector row = load(map) * float(h) + load(map + kLanes) * float(w) +
                     load(map + 2 * kLanes);
        Vector column = load(map + 3 * kLanes) * float(h) +
                        load(map + 4 * kLanes) * float(w) + load(map + 5 * kLanes);
        if (warp.grid) {
            const float* points = warp.scratch + cell * kLanes + part;
            row += spline_at(points, weights);
            column += spline_at(points + warp.GW * kLanes, weights);
        }
        row = limited(row, Vector{}, last_row);
        column = limited(column, Vector{}, last_column);
        const IntVector top = __builtin_convertvector(row, IntVector);
        const IntVector left = __builtin_convertvector(column, IntVector);
        store(down + part, row - __builtin_convertvector(top, Vector));
        store(across + part, column - __builtin_convertvector(left, Vector));
        *reinterpret_cast<IntVector*>(corner + part) = top * int32_t(s.W + 3) + left;
    }
}

static void resample(const PixelShape& s, const Warp<float>& warp, const float* frame,
                     float* x) {
    const int64_t width = (s.W + 3) * kLanes, plane = (s.H + 3) * width;
    alignas(64) int32_t corner[kLanes];
    alignas(64) float down[kLanes], across[kLanes], pixel[4][kLanes];
    for (int64_t h = 0; h < s.H; ++h) {
        if (warp.grid) spline_row(warp, h);
        for (int64_t w = 0; w < s.W; ++w) {
            locate(s, warp, h, w, corner, down, across);
            for (int64_t c = 0; c < s.C; ++c) {
                STRIATE_UNROLL
                for (int lane = 0; lane < kLanes; ++lane) {
                    const float* p =
                        frame + c * plane + int64_t(corner[lane]) * kLanes + lane;
                    pixel[0][lane] = p[0];
                    pixel[1][lane] = p[kLanes];
                    pixel[2][lane] = p[width];
                    pixel[3][lane] = p[width + kLanes];
                }
                float* to = x + ((c * s.H + h) * s.W + w) * kLanes;
                for (int part = 0; part < kLanes; part += kWidth) {
                    const Vector right = load(across + part);
                    const Vector a = load(pixel[0] + part), b = load(pixel[2] + part);
                    const Vector top = a + right * (load(pixel[1] + part) - a);
                    const Vector low = b + right * (load(pixel[3] + part) - b);
                    store(to + part, top + load(down + part) * (low - top));
                }
            }
        }
    }
}

// Wellons' lowbias32: every bit of the result depends on every bit of x.
STRIATE_INLINE UnsignedVector mixed_bits(UnsignedVector x) {
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

static void adjust(const PixelShape& s, const Adjustment<float>& rule, float* x) {
    const int64_t pixels = s.H * s.W, plane = pixels * kLanes;
    if (rule.tint) {
        for (int64_t i = 0; i < plane; i += kWidth) {
            const float* tint = rule.tint + i % kLanes;
            const Vector v[3] = {load(x + i), load(x + plane + i),
                                 load(x + 2 * plane + i)};
            STRIATE_UNROLL
            for (int c = 0; c < 3; ++c, tint += 3 * kLanes)
                store(x + c * plane + i, load(tint) * v[0] +
                                             load(tint + kLanes) * v[1] +
                                             load(tint + 2 * kLanes) * v[2]);
        }
    }
    for (int64_t c = 0; c < s.C; ++c) {
        float* values = x + c * plane;
        const Vector low = broadcast(rule.low[c]), high = broadcast(rule.high[c]);
        for (int64_t i = 0; i < plane; i += kWidth) {
            const int64_t lane = i % kLanes;
            Vector v = load(rule.gain + lane) * load(values + i) +
                       load(rule.offset + c * kLanes + lane);
            if (rule.noise) {
                const UnsignedVector bits = mixed_bits(
                    *reinterpret_cast<const UnsignedVector*>(rule.noise_key + lane) +
                    uint32_t(c * pixels + i / kLanes));
                const IntVector sum = (IntVector)((bits & 255u) + (bits >> 8 & 255u) +
                                                  (bits >> 16 & 255u) + (bits >> 24));
                v += rule.noise[c] * __builtin_convertvector(sum - 510, Vector);
            }
            store(values + i, limited(v, low, high));
        }
        for (int lane = 0; lane < kLanes; ++lane) {
            const int32_t* box = rule.box + lane;
            for (int64_t h = box[0]; h < box[kLanes]; ++h)
                for (int64_t w = box[2 * kLanes]; w < box[3 * kLanes]; ++w)
                    values[(h * s.W + w) * kLanes + lane] = 0.0f;
        }
    }
}

static void blend(int64_t count, const float* share, const float* other, float* x) {
    for (int64_t i = 0; i < count * kLanes; i += kWidth) {
        const Vector v = load(x + i);
        store(x + i, v + load(share + i % kLanes) * (load(other + i) - v));
    }
}
