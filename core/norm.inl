// Batch normalisation (Ioffe and Szegedy, 2015), channel by channel: the statistics of
// a block, the normalisation, and both ways back. Bound by memory: each is one walk
// over planes that the convolution before has just left in the cache, but for the
// moments, which take two, because float32 sums of squares minus a squared mean would
// cancel.

// Which lanes of a part hold real images.
STRIATE_INLINE IntVector real_lanes(int part, int real) {
    IntVector lane;
    STRIATE_UNROLL
    for (int i = 0; i < kWidth; ++i) lane[i] = part * kWidth + i;
    return lane < real;
}

// Sums under way at once, to hide the latency of additions.
constexpr int kSums = kParts == 1 ? 4 : kParts == 2 ? 2 : 1;
// Pixels summed in float before their sum is added to one in double.
constexpr int64_t kPixels = 256;

// total[k] = the sum over i in [0, P) and all lanes of what term(i) leaves in lanes[k].
template <int K, class Term>
STRIATE_INLINE void sum_pixels(int64_t P, const Term& term, double* total) {
    for (int k = 0; k < K; ++k) total[k] = 0.0;
    for (int64_t begin = 0; begin < P; begin += kPixels) {
        const int64_t end = begin + kPixels < P ? begin + kPixels : P;
        Lanes sum[kSums][K] = {};
        const auto add = [&](int64_t i, Lanes* sums) {
            Lanes value[K];
            term(i, value);
            STRIATE_UNROLL
            for (int k = 0; k < K; ++k) sums[k] = sums[k] + value[k];
        };
        int64_t i = begin;
        for (; i + kSums <= end; i += kSums) {
            STRIATE_UNROLL
            for (int j = 0; j < kSums; ++j) add(i + j, sum[j]);
        }
        for (; i < end; ++i) add(i, sum[0]);
        for (int k = 0; k < K; ++k) {
            for (int j = 1; j < kSums; ++j) sum[0][k] = sum[0][k] + sum[j][k];
            for (int part = 0; part < kParts; ++part) {
                for (int lane = 0; lane < kWidth; ++lane)
                    total[k] += double(sum[0][k].part[part][lane]);
            }
        }
    }
}

static void norm_moments(const NormShape& s, const float* x, double* mean,
                         double* deviation) {
    const double count = double(s.P * s.real);
    IntVector mask[kParts];
    for (int part = 0; part < kParts; ++part) mask[part] = real_lanes(part, s.real);
    for (int64_t c = 0; c < s.C; ++c) {
        const float* plane = x + c * s.P * kLanes;
        double sum, squares;
        sum_pixels<1>(
            s.P,
            [&](int64_t i, Lanes* lanes) {
                *lanes = load_lanes(plane + i * kLanes);
                STRIATE_UNROLL
                for (int p = 0; p < kParts; ++p)
                    lanes->part[p] = select(mask[p], lanes->part[p], Vector{});
            },
            &sum);
        mean[c] = sum / count;
        const float center = float(mean[c]);
        sum_pixels<1>(
            s.P,
            [&](int64_t i, Lanes* lanes) {
                *lanes = load_lanes(plane + i * kLanes);
                STRIATE_UNROLL
                for (int p = 0; p < kParts; ++p) {
                    const Vector off = lanes->part[p] - center;
                    lanes->part[p] = select(mask[p], off * off, Vector{});
                }
            },
            &squares);
        // About the rounded mean; about the mean itself it is less by this much.
        const double rounding = mean[c] - double(center);
        squares -= count * rounding * rounding;
        deviation[c] = squares < 0.0 ? 0.0 : squares;
    }
}

static void norm_forward(const NormShape& s, const float* x, const float* mean,
                         const float* variance, const float* w, const float* bias,
                         const ActivationRule* rectifier, float* y) {
    for (int64_t c = 0; c < s.C; ++c) {
        const float scale =
            float(double(w[c]) / __builtin_sqrt(double(variance[c]) + s.epsilon));
        const float center = mean[c], shift = bias[c];
        const int64_t end = (c + 1) * s.P * kLanes;
        for (int64_t i = c * s.P * kLanes; i < end; i += kWidth) {
            Vector value[] = {(load(x + i) - center) * scale + shift};
            rectify(rectifier, value);
            store(y + i, value[0]);
        }
    }
}

static void norm_weight_gradient(const NormShape& s, const float* x, const float* mean,
                                 const float* variance, const float* dy, double* dw,
                                 double* db) {
    for (int64_t c = 0; c < s.C; ++c) {
        const float* plane = x + c * s.P * kLanes;
        const float* above = dy + c * s.P * kLanes;
        const float center = mean[c];
        double total[2];
        sum_pixels<2>(
            s.P,
            [&](int64_t i, Lanes* lanes) {
                const Lanes value = load_lanes(plane + i * kLanes);
                lanes[0] = lanes[1] = load_lanes(above + i * kLanes);
                STRIATE_UNROLL
                for (int p = 0; p < kParts; ++p)
                    lanes[1].part[p] *= value.part[p] - center;
            },
            total);
        db[c] = total[0];
        dw[c] = total[1] / __builtin_sqrt(double(variance[c]) + s.epsilon);
    }
}

static void norm_input_gradient(const NormShape& s, const float* x, const float* mean,
                                const float* variance, const float* w,
                                const float* mean_dw, const float* mean_db, float* dy) {
    IntVector mask[kParts];
    for (int part = 0; part < kParts; ++part) mask[part] = real_lanes(part, s.real);
    for (int64_t c = 0; c < s.C; ++c) {
        const double inverse = 1.0 / __builtin_sqrt(double(variance[c]) + s.epsilon);
        const double factor = double(w[c]) * inverse;
        const float scale = float(factor);
        const int64_t begin = c * s.P * kLanes, end = begin + s.P * kLanes;
        if (!mean_dw) {
            for (int64_t i = begin; i < end; i += kWidth)
                store(dy + i, load(dy + i) * scale);
            continue;
        }
        const float slope = float(factor * inverse * double(mean_dw[c]));
        const float shift = float(factor * double(mean_db[c])), center = mean[c];
        for (int64_t i = begin; i < end; i += kLanes) {
            STRIATE_UNROLL
            for (int p = 0; p < kParts; ++p) {
                float* g = dy + i + p * kWidth;
                const Vector off = load(x + i + p * kWidth) - center;
                const Vector dx = load(g) * scale - off * slope - shift;
                store(g, select(mask[p], dx, Vector{}));
            }
        }
    }
}
