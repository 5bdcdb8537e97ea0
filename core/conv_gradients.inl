// Convolution, backward: gradient of the input, gradient of the weights.

// ---- gradient of the input ----------------------------------------------------------

// The kernel rows that reach an input row, kh_begin, kh_begin + kh_step ..., each from
// the gradient's row `oh`, oh - oh_step ...
struct Reach {
    int64_t kh_begin, kh_end, kh_step, oh, oh_step;
};
STRIATE_INLINE Reach reach_of(const ConvShape& s, int64_t ih) {
    // Either stride or dilation is 1, so that both rows go in even steps.
    Reach r{0, s.KH, s.stride_h, 0, s.dilation_h};
    if (ih / s.dilation_h + 1 < s.KH) r.kh_end = ih / s.dilation_h + 1;
    const int64_t beyond = ih - (s.OH - 1) * s.stride_h;
    if (beyond > 0) r.kh_begin = (beyond + s.dilation_h - 1) / s.dilation_h;
    while ((ih - r.kh_begin * s.dilation_h) % s.stride_h) ++r.kh_begin;
    r.oh = (ih - r.kh_begin * s.dilation_h) / s.stride_h;
    return r;
}

// Dilation 1 in a row: each gradient value adds kernel times value into a row of
// accumulators, stride SW apart, so that no multiplication meets a padded zero (as a
// full convolution over a padded gradient does: twice the work on a 10 x 10 map).
// Adds to `dx`, TC channels of one input row.
template <int TC, int TW, int KW, int SW>
static void scatter_tile(const ConvShape& s, const float* w, const float* dy, float* dx,
                         const Reach& reach) {
    constexpr int kColumns = (TW - 1) * SW + KW;
    const int64_t plane = s.H * s.W * kLanes, group_inputs = s.C / s.groups;
    Vector sum[TC][kColumns];
    STRIATE_UNROLL
    for (int c = 0; c < TC; ++c) {
        STRIATE_UNROLL
        for (int j = 0; j < kColumns; ++j)
            sum[c][j] = load(dx + c * plane + j * kLanes);
    }
    for (int64_t o = 0; o < s.O / s.groups; ++o) {
        const float* value = dy + (o * s.OH + reach.oh) * s.OW * kLanes;
        for (int64_t kh = reach.kh_begin; kh < reach.kh_end; kh += reach.kh_step) {
            const float* tap = w + (o * group_inputs * s.KH + kh) * KW;
            STRIATE_UNROLL
            for (int c = 0; c < TC; ++c) {
                Vector weight[KW];
                STRIATE_UNROLL
                for (int kw = 0; kw < KW; ++kw)
                    weight[kw] = broadcast(tap[c * s.KH * KW + kw]);
                STRIATE_UNROLL
                for (int j = 0; j < TW; ++j) {
                    const Vector gradient = load_held(value + j * kLanes);
                    STRIATE_UNROLL
                    for (int kw = 0; kw < KW; ++kw)
                        sum[c][j * SW + kw] += weight[kw] * gradient;
                }
            }
            value -= reach.oh_step * s.OW * kLanes;
        }
    }
    STRIATE_UNROLL
    for (int c = 0; c < TC; ++c) {
        STRIATE_UNROLL
        for (int j = 0; j < kColumns; ++j)
            store(dx + c * plane + j * kLanes, sum[c][j]);
    }
}

typedef void (*ScatterTile)(const ConvShape&, const float*, const float*, float*,
                            const Reach&);

// Channels times columns of accumulators beside KW weights and one gradient.
template <int KW, int SW>
constexpr int kScatterChannels = kRegisters != 32     ? (KW* SW == 1 ? 2 : 1)
                                 : KW == 1 && SW == 1 ? 4
                                                      : 2;
template <int KW, int SW>
constexpr int kScatterColumns = KW < 5                        ? 5
                                : kRegisters == 32 && SW == 1 ? 5
                                                              : 3;

template <int TC, int KW, int SW>
static ScatterTile scatter_tile_of(int columns) {
    if constexpr (kScatterColumns<KW, SW> >= 5) {
        if (columns == 5) return scatter_tile<TC, 5, KW, SW>;
        if (columns == 4) return scatter_tile<TC, 4, KW, SW>;
    }
    return columns == 3   ? scatter_tile<TC, 3, KW, SW>
           : columns == 2 ? scatter_tile<TC, 2, KW, SW>
                          : scatter_tile<TC, 1, KW, SW>;
}

template <int KW, int SW>
static ScatterTile scatter_tile_for(int channels, int columns) {
    constexpr int most = kScatterChannels<KW, SW>;
    if constexpr (most >= 4) {
        if (channels == 4) return scatter_tile_of<4, KW, SW>(columns);
        if (channels == 3) return scatter_tile_of<3, KW, SW>(columns);
    }
    if constexpr (most >= 2) {
        if (channels == 2) return scatter_tile_of<2, KW, SW>(columns);
    }
    return scatter_tile_of<1, KW, SW>(columns);
}

template <int KW, int SW>
static void scatter(const ConvShape& s, const float* w, const float* dy, float* dx) {
    const int64_t group_outputs = s.O / s.groups, group_inputs = s.C / s.groups;
    const Cut columns = cut(s.OW, kScatterColumns<KW, SW>);
    const Cut channels = cut(group_inputs, kScatterChannels<KW, SW>);
    const int wide = int(columns.base + (columns.longer > 0));
    for (int64_t g = 0; g < s.groups; ++g) {
        for (int64_t ci = 0; ci < channels.parts; ++ci) {
            const int64_t begin = cut_begin(channels, ci);
            const int tall = int(cut_begin(channels, ci + 1) - begin);
            const int64_t c = g * group_inputs + begin;
            const ScatterTile longer = scatter_tile_for<KW, SW>(tall, wide);
            const ScatterTile shorter =
                scatter_tile_for<KW, SW>(tall, int(columns.base));
            const float* kernel =
                w + (g * group_outputs * group_inputs + begin) * s.KH * KW;
            for (int64_t ih = 0; ih < s.H; ++ih) {
                const Reach reach = reach_of(s, ih);
                for (int i = 0; i < tall; ++i)
                    memset(dx + ((c + i) * s.H + ih) * s.W * kLanes, 0,
                           sizeof(float) * size_t(s.W * kLanes));
                if (reach.kh_begin >= reach.kh_end) continue;
                for (int64_t t = 0; t < columns.parts; ++t) {
                    const int64_t ow = cut_begin(columns, t);
                    const ScatterTile tile = t < columns.longer ? longer : shorter;
                    for (int part = 0; part < kLanes; part += kWidth) {
                        tile(
                            s, kernel,
                            dy + (g * group_outputs * s.OH * s.OW + ow) * kLanes + part,
                            dx + ((c * s.H + ih) * s.W + ow * SW) * kLanes + part,
                            reach);
                    }
                }
            }
        }
    }
}

// Any kernel, stride and dilation: row by row, adding to memory.
static void scatter_any(const ConvShape& s, const float* w, const float* dy,
                        float* dx) {
    const int64_t group_outputs = s.O / s.groups, group_inputs = s.C / s.groups;
    const int64_t step = s.stride_w * kLanes;
    memset(dx, 0, sizeof(float) * size_t(s.C * s.H * s.W * kLanes));
    for (int64_t c = 0; c < s.C; ++c) {
        const int64_t g = c / group_inputs;
        for (int64_t o = g * group_outputs; o < (g + 1) * group_outputs; ++o) {
            const float* kernel =
                w + (o * group_inputs + c % group_inputs) * s.KH * s.KW;
            for (int64_t oh = 0; oh < s.OH; ++oh) {
                const float* value = dy + (o * s.OH + oh) * s.OW * kLanes;
                for (int64_t kh = 0; kh < s.KH; ++kh) {
                    const int64_t ih = oh * s.stride_h + kh * s.dilation_h;
                    for (int64_t kw = 0; kw < s.KW; ++kw) {
                        float* row =
                            dx + ((c * s.H + ih) * s.W + kw * s.dilation_w) * kLanes;
                        const float weight = kernel[kh * s.KW + kw];
                        for (int64_t ow = 0; ow < s.OW; ++ow) {
                            float* p = row + ow * step;
                            store_lanes(p,
                                        load_lanes(p) +
                                            load_lanes(value + ow * kLanes) * weight);
                        }
                    }
                }
            }
        }
    }
}

static void conv_input_gradient(const ConvShape& shape, const float* w, const float* dy,
                                float* dx) {
    const ConvShape s = without_rows(shape);
    const bool even = s.dilation_w == 1 && (s.stride_h == 1 || s.dilation_h == 1);
    if (even && s.stride_w == 1) {
        if (s.KW == 1) return scatter<1, 1>(s, w, dy, dx);
        if (s.KW == 3) return scatter<3, 1>(s, w, dy, dx);
        if (s.KW == 5) return scatter<5, 1>(s, w, dy, dx);
    }
    if (even && s.stride_w == 2) {
        if (s.KW == 1) return scatter<1, 2>(s, w, dy, dx);
        if (s.KW == 3) return scatter<3, 2>(s, w, dy, dx);
        if (s.KW == 5) return scatter<5, 2>(s, w, dy, dx);
    }
    scatter_any(s, w, dy, dx);
}

// ---- gradient of the weights --------------------------------------------------------

// TO output channels by TT taps (a tap is one c, kh, kw; offset[t] is where its input
// lies relative to the output's corner), over some rows: one vector of partial sums
// each, its lanes added up only at the end.
template <int TO, int TT>
static void weight_tile(const ConvShape& s, int64_t rows, const float* x,
                        const int64_t* offset, const float* dy, float* dw,
                        int64_t taps) {
    const int64_t plane = s.OH * s.OW * kLanes;
    Vector sum[TO * TT] = {};
    for (int64_t oh = 0; oh < rows; ++oh) {
        const float* gradient = dy + oh * s.OW * kLanes;
        const float* corner = x + oh * s.stride_h * s.W * kLanes;
        for (int64_t ow = 0; ow < s.OW; ++ow) {
            STRIATE_UNROLL
            for (int part = 0; part < kLanes; part += kWidth) {
                Vector value[TT];
                STRIATE_UNROLL
                for (int t = 0; t < TT; ++t)
                    value[t] = load_held(corner + offset[t] + part);
                STRIATE_UNROLL
                for (int i = 0; i < TO; ++i) {
                    const Vector g = load_held(gradient + i * plane + part);
                    STRIATE_UNROLL
                    for (int t = 0; t < TT; ++t) sum[i * TT + t] += g * value[t];
                }
            }
            gradient += kLanes;
            corner += s.stride_w * kLanes;
        }
    }
    float total[TO * TT];
    sum_lanes<TO * TT>(sum, total);
    STRIATE_UNROLL
    for (int i = 0; i < TO; ++i) {
        STRIATE_UNROLL
        for (int t = 0; t < TT; ++t) dw[i * taps + t] += total[i * TT + t];
    }
}

typedef void (*WeightTile)(const ConvShape&, int64_t, const float*, const int64_t*,
                           const float*, float*, int64_t);

constexpr int kWeightTaps = 5;
constexpr int kWeightChannels = kRegisters == 32 ? 4 : 2;
// What all tiles pass before the rows after it, in bytes, so that it stays in the
// second-level cache; but at least so many positions, since every tile ends in sums over
// lanes. (Without these cuts 1 x 1 kernels lose a third, 3 x 3 ones a tenth.)
constexpr int64_t kWeightBytes = 512 << 10;
constexpr int64_t kWeightPositions = 64;

template <int TO>
static WeightTile weight_tile_of(int taps) {
    switch (taps) {
        case 5:
            return weight_tile<TO, 5>;
        case 4:
            return weight_tile<TO, 4>;
        case 3:
            return weight_tile<TO, 3>;
        case 2:
            return weight_tile<TO, 2>;
        default:
            return weight_tile<TO, 1>;
    }
}

static WeightTile weight_tile_for(int channels, int taps) {
    if constexpr (kWeightChannels >= 4) {
        if (channels == 4) return weight_tile_of<4>(taps);
        if (channels == 3) return weight_tile_of<3>(taps);
    }
    return channels == 2 ? weight_tile_of<2>(taps) : weight_tile_of<1>(taps);
}

// Rows [first, first + rows) of one group's part.
static void add_weight_gradient(const ConvShape& s, int64_t g, int64_t first,
                                int64_t rows, const float* x, const float* dy,
                                float* dw) {
    const int64_t group_outputs = s.O / s.groups, group_inputs = s.C / s.groups;
    const int64_t taps = group_inputs * s.KH * s.KW, plane = s.OH * s.OW * kLanes;
    const Cut tap_cut = cut(taps, kWeightTaps);
    const Cut channels = cut(group_outputs, kWeightChannels);
    const float* input =
        x + (g * group_inputs * s.H + first * s.stride_h) * s.W * kLanes;
    for (int64_t co = 0; co < channels.parts; ++co) {
        const int64_t begin = cut_begin(channels, co);
        const int tall = int(cut_begin(channels, co + 1) - begin);
        const int64_t o = g * group_outputs + begin;
        const float* gradient = dy + o * plane + first * s.OW * kLanes;
        int64_t c = 0, kh = 0, kw = 0;
        for (int64_t t = 0; t < tap_cut.parts; ++t) {
            const int64_t tap = cut_begin(tap_cut, t);
            const int wide = int(cut_begin(tap_cut, t + 1) - tap);
            int64_t offset[kWeightTaps];
            for (int i = 0; i < wide; ++i) {
                offset[i] =
                    ((c * s.H + kh * s.dilation_h) * s.W + kw * s.dilation_w) * kLanes;
                if (++kw < s.KW) continue;
                kw = 0;
                if (++kh < s.KH) continue;
                kh = 0;
                ++c;
            }
            weight_tile_for(tall, wide)(s, rows, input, offset, gradient,
                                        dw + o * taps + tap, taps);
        }
    }
}

static void conv_weight_gradient(const ConvShape& s, const float* x, const float* dy,
                                 float* dw, float* db) {
    const int64_t inputs = s.C / s.groups * s.stride_h * s.W;
    const int64_t row = (inputs + kWeightChannels * s.OW) * kLanes * int64_t(sizeof(float));
    const int64_t most = kWeightBytes / row, least = (kWeightPositions - 1) / s.OW + 1;
    const Cut rows = cut(s.OH, most > least ? most : least);
    for (int64_t r = 0; r < rows.parts; ++r) {
        const int64_t first = cut_begin(rows, r);
        for (int64_t g = 0; g < s.groups; ++g)
            add_weight_gradient(s, g, first, cut_begin(rows, r + 1) - first, x, dy, dw);
    }
    if (!db) return;
    const int64_t plane = s.OH * s.OW * kLanes;
    for (int64_t o = 0; o < s.O; ++o) {
        Lanes sum = {};
        for (int64_t i = 0; i < s.OH * s.OW; ++i)
            sum = sum + load_lanes(dy + o * plane + i * kLanes);
        float total[kParts];
        sum_lanes<kParts>(sum.part, total);
        for (int part = 0; part < kParts; ++part) db[o] += total[part];
    }
}
