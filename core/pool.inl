// Pooling: a convolution without a kernel, channel by channel. Bound by memory, so
// plain loops over the native vectors.

// Windows of 2 x 2, the usual ones, are unrolled (a fifth of the time); 0 is any size.
template <int KH, int KW>
static void max_pool(const PoolShape& s, const float* x, float* y, int32_t* winner) {
    const int64_t rows = KH > 0 ? KH : s.KH, columns = KW > 0 ? KW : s.KW;
    for (int64_t c = 0; c < s.C; ++c) {
        for (int64_t oh = 0; oh < s.OH; ++oh) {
            const int64_t out = (c * s.OH + oh) * s.OW * kLanes;
            const float* row = x + (c * s.H + oh * s.stride_h) * s.W * kLanes;
            for (int64_t ow = 0; ow < s.OW; ++ow) {
                const float* corner = row + ow * s.stride_w * kLanes;
                STRIATE_UNROLL
                for (int part = 0; part < kLanes; part += kWidth) {
                    Vector best = load(corner + part);
                    IntVector where = {};
                    for (int64_t kh = 0; kh < rows; ++kh) {
                        for (int64_t kw = 0; kw < columns; ++kw) {
                            if (kh + kw == 0) continue;
                            const Vector v =
                                load(corner + (kh * s.W + kw) * kLanes + part);
                            // A strict comparison keeps the first of equals; a value
                            // unlike itself is NaN and passes on.
                            const IntVector better = (v > best) | (v != v);
                            best = select(better, v, best);
                            where = better ? IntVector{} + int32_t(kh * columns + kw)
                                           : where;
                        }
                    }
                    const int64_t to = out + ow * kLanes + part;
                    store(y + to, best);
                    if (winner) *reinterpret_cast<IntVector*>(winner + to) = where;
                }
            }
        }
    }
}

static void max_pool_forward(const PoolShape& s, const float* x, float* y,
                             int32_t* winner) {
    if (s.KH == 2 && s.KW == 2) return max_pool<2, 2>(s, x, y, winner);
    max_pool<0, 0>(s, x, y, winner);
}

// Windows that cover the input side by side: each of its values is written once.
template <int KH, int KW>
static void max_pool_back(const PoolShape& s, const int32_t* winner,
                          const ActivationRule* rectifier, const float* y,
                          const float* dy, float* dx) {
    const int64_t rows = s.OH * KH, columns = s.OW * KW;
    for (int64_t c = 0; c < s.C; ++c) {
        float* plane = dx + c * s.H * s.W * kLanes;
        for (int64_t oh = 0; oh < s.OH; ++oh) {
            const int64_t out = (c * s.OH + oh) * s.OW * kLanes;
            float* row = plane + oh * KH * s.W * kLanes;
            for (int64_t i = 0; i < s.OW * kLanes; i += kWidth) {
                Vector gradient = load(dy + out + i);
                if (rectifier)
                    gradient = pass_back(*rectifier, load(y + out + i), gradient);
                const IntVector where =
                    *reinterpret_cast<const IntVector*>(winner + out + i);
                float* corner = row + (i / kLanes * KW * kLanes + i % kLanes);
                STRIATE_UNROLL
                for (int kh = 0; kh < KH; ++kh) {
                    STRIATE_UNROLL
                    for (int kw = 0; kw < KW; ++kw)
                        store(corner + (kh * s.W + kw) * kLanes,
                              select(where == kh * KW + kw, gradient, Vector{}));
                }
            }
            for (int64_t kh = 0; kh < KH && columns < s.W; ++kh)
                clear(row + (kh * s.W + columns) * kLanes, s.W - columns);
        }
        clear(plane + rows * s.W * kLanes, (s.H - rows) * s.W);
    }
}

static void max_pool_backward(const PoolShape& s, const int32_t* winner,
                              const ActivationRule* rectifier, const float* y,
                              const float* dy, float* dx) {
    if (s.KH == 2 && s.KW == 2 && s.stride_h == 2 && s.stride_w == 2)
        return max_pool_back<2, 2>(s, winner, rectifier, y, dy, dx);
    clear(dx, s.C * s.H * s.W);
    for (int64_t c = 0; c < s.C; ++c) {
        for (int64_t oh = 0; oh < s.OH; ++oh) {
            for (int64_t ow = 0; ow < s.OW; ++ow) {
                const int64_t out = ((c * s.OH + oh) * s.OW + ow) * kLanes;
                float* corner =
                    dx + ((c * s.H + oh * s.stride_h) * s.W + ow * s.stride_w) * kLanes;
                for (int part = 0; part < kLanes; part += kWidth) {
                    Vector gradient = load(dy + out + part);
                    if (rectifier)
                        gradient =
                            pass_back(*rectifier, load(y + out + part), gradient);
                    const IntVector where =
                        *reinterpret_cast<const IntVector*>(winner + out + part);
                    for (int64_t kh = 0; kh < s.KH; ++kh) {
                        for (int64_t kw = 0; kw < s.KW; ++kw) {
                            float* p = corner + (kh * s.W + kw) * kLanes + part;
                            const IntVector won = where == int32_t(kh * s.KW + kw);
                            store(p, load(p) + select(won, gradient, Vector{}));
                        }
                    }
                }
            }
        }
    }
}

static void average_pool_forward(const PoolShape& s, const float* x, float* y) {
    const float share = 1.0f / float(s.KH * s.KW);
    for (int64_t c = 0; c < s.C; ++c) {
        for (int64_t oh = 0; oh < s.OH; ++oh) {
            for (int64_t ow = 0; ow < s.OW; ++ow) {
                const float* corner =
                    x + ((c * s.H + oh * s.stride_h) * s.W + ow * s.stride_w) * kLanes;
                Lanes sum = {};
                for (int64_t kh = 0; kh < s.KH; ++kh) {
                    for (int64_t kw = 0; kw < s.KW; ++kw)
                        sum = sum + load_lanes(corner + (kh * s.W + kw) * kLanes);
                }
                store_lanes(y + ((c * s.OH + oh) * s.OW + ow) * kLanes, sum * share);
            }
        }
    }
}

static void average_pool_backward(const PoolShape& s, const float* dy, float* dx) {
    const float share = 1.0f / float(s.KH * s.KW);
    clear(dx, s.C * s.H * s.W);
    for (int64_t c = 0; c < s.C; ++c) {
        for (int64_t oh = 0; oh < s.OH; ++oh) {
            for (int64_t ow = 0; ow < s.OW; ++ow) {
                const Lanes gradient =
                    load_lanes(dy + ((c * s.OH + oh) * s.OW + ow) * kLanes) * share;
                float* corner =
                    dx + ((c * s.H + oh * s.stride_h) * s.W + ow * s.stride_w) * kLanes;
                for (int64_t kh = 0; kh < s.KH; ++kh) {
                    for (int64_t kw = 0; kw < s.KW; ++kw) {
                        float* p = corner + (kh * s.W + kw) * kLanes;
                        store_lanes(p, load_lanes(p) + gradient);
                    }
                }
            }
        }
    }
}
