// Pooling: a convolution without a kernel, channel by channel. Bound by memory, so
// plain loops over the native vectors.

static void max_pool_forward(const PoolShape& s, const float* x, float* y,
                             int32_t* winner) {
    for (int64_t c = 0; c < s.C; ++c) {
        for (int64_t oh = 0; oh < s.OH; ++oh) {
            for (int64_t ow = 0; ow < s.OW; ++ow) {
                const int64_t out = ((c * s.OH + oh) * s.OW + ow) * kLanes;
                const float* corner =
                    x + ((c * s.H + oh * s.stride_h) * s.W + ow * s.stride_w) * kLanes;
                for (int part = 0; part < kLanes; part += kWidth) {
                    Vector best = load(corner + part);
                    IntVector where = {};
                    for (int64_t kh = 0; kh < s.KH; ++kh) {
                        for (int64_t kw = 0; kw < s.KW; ++kw) {
                            const Vector v =
                                load(corner + (kh * s.W + kw) * kLanes + part);
                            // A strict comparison keeps the first of equals; a value
                            // unlike itself is NaN and passes on.
                            const IntVector better = (v > best) | (v != v);
                            best = select(better, v, best);
                            where =
                                better ? IntVector{} + int32_t(kh * s.KW + kw) : where;
                        }
                    }
                    store(y + out + part, best);
                    if (winner)
                        *reinterpret_cast<IntVector*>(winner + out + part) = where;
                }
            }
        }
    }
}

static void max_pool_backward(const PoolShape& s, const int32_t* winner,
                              const float* dy, float* dx) {
    memset(dx, 0, sizeof(float) * size_t(s.C * s.H * s.W * kLanes));
    for (int64_t c = 0; c < s.C; ++c) {
        for (int64_t oh = 0; oh < s.OH; ++oh) {
            for (int64_t ow = 0; ow < s.OW; ++ow) {
                const int64_t out = ((c * s.OH + oh) * s.OW + ow) * kLanes;
                float* corner =
                    dx + ((c * s.H + oh * s.stride_h) * s.W + ow * s.stride_w) * kLanes;
                for (int part = 0; part < kLanes; part += kWidth) {
                    const Vector gradient = load(dy + out + part);
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
    memset(dx, 0, sizeof(float) * size_t(s.C * s.H * s.W * kLanes));
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
