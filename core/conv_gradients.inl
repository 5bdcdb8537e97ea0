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

// Channels times columns of accumulators beside KW weights and one gradient; columns by
// whether a group has but one channel, as depthwise kernels do.
template <int KW, int SW>
constexpr int kScatterChannels = kRegisters == 32 ? (SW > 1    ? 2
                                                     : KW == 1 ? 4
                                                     : KW == 3 ? 3
                                                               : 2)
                                                  : (SW > 1 || KW == 5 ? 1 : 2);
template <int KW, int SW>
constexpr int scatter_columns(bool lone) {
    if (lone && KW == 3 && SW == 1) return kRegisters == 32 ? 10 : 8;
    if (KW == 5 && (kRegisters != 32 || SW > 1)) return 3;
    return KW == 3 && kRegisters != 32 && SW == 1 ? 4 : 5;
}

// Where a tile finds the gradients it scatters: its first output channel's, for the
// first of `rows` kernel rows; the kernel rows lie `tap` weights apart.
struct Scattered {
    const float* value;
    int64_t channels, rows, next_channel, next_row, tap;
};

// Dilation 1 in a row: each gradient value adds kernel times value into a row of
// accumulators, stride SW apart, so that no multiplication meets a padded zero (as a
// full convolution over a padded gradient does: twice the work on a 10 x 10 map).
// Writes TC channels of one input row to `dx`, adding to the first `kept` columns,
// which are those of the tile before, or all that there are.
template <int TC, int TW, int KW, int SW>
static void scatter_tile(const ConvShape& s, const float* w, const Scattered& from,
                         float* dx, int kept) {
    constexpr int kColumns = (TW - 1) * SW + KW;
    const int64_t plane = s.H * s.W * kLanes, group_inputs = s.C / s.groups;
    Vector sum[TC][kColumns] = {};
    if (kept > 0) {
        STRIATE_UNROLL
        for (int c = 0; c < TC; ++c) {
            STRIATE_UNROLL
            for (int j = 0; j < kColumns; ++j)
                if (j < KW - SW || kept == kColumns)
                    sum[c][j] = load(dx + c * plane + j * kLanes);
        }
    }
    for (int64_t o = 0; o < from.channels; ++o) {
        const float* value = from.value + o * from.next_channel;
        const float* tap = w + o * group_inputs * s.KH * KW;
        for (int64_t row = 0; row < from.rows; ++row) {
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
            value += from.next_row;
            tap += from.tap;
        }
    }
    STRIATE_UNROLL
    for (int c = 0; c < TC; ++c) {
        STRIATE_UNROLL
        for (int j = 0; j < kColumns; ++j)
            store(dx + c * plane + j * kLanes, sum[c][j]);
    }
}

typedef void (*ScatterTile)(const ConvShape&, const float*, const Scattered&, float*,
                            int);

template <int TC, int TW, int KW, int SW>
static ScatterTile scatter_tile_of(int columns) {
    if constexpr (TW > 1) {
        if (columns < TW) return scatter_tile_of<TC, TW - 1, KW, SW>(columns);
    }
    return scatter_tile<TC, TW, KW, SW>;
}

template <int KW, int SW>
static ScatterTile scatter_tile_for(int channels, int columns) {
    constexpr int most = kScatterChannels<KW, SW>,
                  wide = scatter_columns<KW, SW>(false);
    if constexpr (most >= 4) {
        if (channels == 4) return scatter_tile_of<4, wide, KW, SW>(columns);
    }
    if constexpr (most >= 3) {
        if (channels == 3) return scatter_tile_of<3, wide, KW, SW>(columns);
    }
    if constexpr (most >= 2) {
        if (channels == 2) return scatter_tile_of<2, wide, KW, SW>(columns);
    }
    return scatter_tile_of<1, scatter_columns<KW, SW>(true), KW, SW>(columns);
}

// Room for the gradients of a tile's columns: with one tile's sums they stay in the
// first-level cache.
constexpr int64_t kScattered = 384;

// Copies the gradients of `width` columns next to each other, and begins to fetch as
// many columns behind them: in so many places at once the processor does not see what
// comes next (up to a third of the time where planes are out of the caches).
static Scattered copy_columns(const Scattered& from, int64_t width, float* copy) {
    Scattered to = from;
    to.value = copy;
    to.next_row = width * kLanes;
    to.next_channel = from.rows * to.next_row;
    for (int64_t o = 0; o < from.channels; ++o) {
        for (int64_t row = 0; row < from.rows; ++row) {
            const float* value =
                from.value + o * from.next_channel + row * from.next_row;
            for (int64_t j = 0; j < width; ++j, copy += kLanes) {
                __builtin_prefetch(value + (j + width) * kLanes);
                store_lanes(copy, load_lanes(value + j * kLanes));
            }
        }
    }
    return to;
}

// All input channels pass a tile's columns before the next ones, as in conv_forward.
// (Plane by plane, 5 x 5 kernels on large maps lose a third.) Where there are many, the
// columns are copied next to each other before: planes of whole pages would push each
// other out of the first-level cache (a quarter of the time on 24 x 24 maps).
template <int KW, int SW>
static void scatter(const ConvShape& s, int64_t first, int64_t last, const float* w,
                    const float* dy, const ActivationRule* rectifier, const float* y,
                    float* dx) {
    const int64_t group_outputs = s.O / s.groups, group_inputs = s.C / s.groups;
    const int64_t group_range = (last - first) / s.groups;
    const int64_t plane = s.OH * s.OW * kLanes;
    const Cut columns = cut(s.OW, scatter_columns<KW, SW>(group_inputs == 1));
    const Cut channels = cut(group_range, kScatterChannels<KW, SW>);
    const int wide = int(columns.base + (columns.longer > 0)),
              tall = int(channels.base);
    // By whether there is one column more, and one channel more.
    const ScatterTile tiles[2][2] = {
        {scatter_tile_for<KW, SW>(tall, int(columns.base)),
         scatter_tile_for<KW, SW>(tall + 1, int(columns.base))},
        {scatter_tile_for<KW, SW>(tall, wide),
         scatter_tile_for<KW, SW>(tall + 1, wide)}};
    // Columns from here on are written by no tile, or not all of them are.
    const int64_t written = KW < SW ? 0 : (s.OW - 1) * SW + KW;
    const bool copies = group_range >= 8 && s.KH * wide <= kScattered;
    const int64_t most = copies ? kScattered / (s.KH * wide) : group_outputs;
    alignas(64) float copy[kScattered * kLanes];
    for (int64_t g = 0; g < s.groups; ++g) {
        for (int64_t ih = 0; ih < s.H; ++ih) {
            const Reach reach = reach_of(s, ih);
            const bool reached = reach.kh_begin < reach.kh_end;
            const int64_t begin = (g * group_range * s.H + ih) * s.W * kLanes;
            float* row = dx + begin;
            const int64_t from = reached ? written : 0;
            for (int64_t c = 0; c < group_range && from < s.W; ++c)
                clear(row + (c * s.H * s.W + from) * kLanes, s.W - from);
            if (!reached) continue;
            Scattered source{};
            source.rows = (reach.kh_end - reach.kh_begin - 1) / reach.kh_step + 1;
            source.tap = reach.kh_step * KW;
            for (int64_t t = 0; t < columns.parts; ++t) {
                const int64_t ow = cut_begin(columns, t);
                const int64_t width = cut_begin(columns, t + 1) - ow;
                for (int64_t o = 0; o < group_outputs; o += most) {
                    source.channels =
                        o + most < group_outputs ? most : group_outputs - o;
                    source.value = dy + (g * group_outputs + o) * plane +
                                   (reach.oh * s.OW + ow) * kLanes;
                    source.next_channel = plane;
                    source.next_row = -reach.oh_step * s.OW * kLanes;
                    if (copies) source = copy_columns(source, width, copy);
                    const int kept = o > 0 ? int((width - 1) * SW + KW) : t > 0 ? 1 : 0;
                    for (int64_t ci = 0; ci < channels.parts; ++ci) {
                        const int64_t c = cut_begin(channels, ci);
                        const float* kernel =
                            w + (((g * group_outputs + o) * group_inputs + first + c) *
                                     s.KH +
                                 reach.kh_begin) *
                                    KW;
                        const ScatterTile tile =
                            tiles[t < columns.longer][ci < channels.longer];
                        for (int part = 0; part < kLanes; part += kWidth) {
                            Scattered at = source;
                            at.value += part;
                            tile(s, kernel, at,
                                 row + (c * s.H * s.W + ow * SW) * kLanes + part, kept);
                        }
                    }
                }
                if (!rectifier) continue;
                // To the columns before this one nothing is added any more.
                const int64_t end =
                    t + 1 < columns.parts ? cut_begin(columns, t + 1) * SW : s.W;
                for (int64_t c = 0; c < group_range; ++c) {
                    const int64_t at = begin + (c * s.H * s.W + ow * SW) * kLanes;
                    pass_back(*rectifier, end - ow * SW, y + at, dx + at);
                }
            }
        }
    }
}

// Any kernel, stride and dilation: row by row, adding to memory.
static void scatter_any(const ConvShape& s, int64_t first, int64_t last, const float* w,
                        const float* dy, const ActivationRule* rectifier,
                        const float* y, float* dx) {
    const int64_t group_outputs = s.O / s.groups, group_inputs = s.C / s.groups;
    const int64_t step = s.stride_w * kLanes;
    clear(dx, (last - first) * s.H * s.W);
    for (int64_t c = first; c < last; ++c) {
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
                            dx + (((c - first) * s.H + ih) * s.W + kw * s.dilation_w) *
                                     kLanes;
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
        if (!rectifier) continue;
        const int64_t at = (c - first) * s.H * s.W * kLanes;
        pass_back(*rectifier, s.H * s.W, y + at, dx + at);
    }
}

static void conv_input_gradient(const ConvShape& shape, int64_t first, int64_t last,
                                const float* w, const float* dy,
                                const ActivationRule* rectifier, const float* y,
                                float* dx) {
    const ConvShape s = without_rows(shape);
    const bool even = s.dilation_w == 1 && (s.stride_h == 1 || s.dilation_h == 1);
    if (even && s.stride_w == 1) {
        if (s.KW == 1) return scatter<1, 1>(s, first, last, w, dy, rectifier, y, dx);
        if (s.KW == 3) return scatter<3, 1>(s, first, last, w, dy, rectifier, y, dx);
        if (s.KW == 5) return scatter<5, 1>(s, first, last, w, dy, rectifier, y, dx);
    }
    if (even && s.stride_w == 2) {
        if (s.KW == 1) return scatter<1, 2>(s, first, last, w, dy, rectifier, y, dx);
        if (s.KW == 3) return scatter<3, 2>(s, first, last, w, dy, rectifier, y, dx);
        if (s.KW == 5) return scatter<5, 2>(s, first, last, w, dy, rectifier, y, dx);
    }
    scatter_any(s, first, last, w, dy, rectifier, y, dx);
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
    for (int part = 0; part < kLanes; part += kWidth) {
        for (int64_t oh = 0; oh < rows; ++oh) {
            const float* gradient = dy + oh * s.OW * kLanes + part;
            const float* corner = x + oh * s.stride_h * s.W * kLanes + part;
            for (int64_t ow = 0; ow < s.OW; ++ow) {
                Vector value[TT];
                STRIATE_UNROLL
                for (int t = 0; t < TT; ++t)
                    value[t] = held(load_loose(corner + offset[t]));
                STRIATE_UNROLL
                for (int i = 0; i < TO; ++i) {
                    const Vector g = load_held(gradient + i * plane);
                    STRIATE_UNROLL
                    for (int t = 0; t < TT; ++t) sum[i * TT + t] += g * value[t];
                }
                gradient += kLanes;
                corner += s.stride_w * kLanes;
            }
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

// Taps that go with so many channels: accumulators, an input a tap and one gradient
// fill the registers. The more taps, the less often gradients come from the
// second-level cache; 9 of one channel are a depthwise kernel of 3 x 3.
constexpr int kWeightChannels = kRegisters == 32 ? 4 : 2;
constexpr int weight_taps(int channels) {
    if (kRegisters != 32) return channels == 2 ? 5 : 7;
    return channels == 4 ? 6 : channels == 3 ? 7 : 9;
}
constexpr int kWeightTaps = weight_taps(1);  // the most
// What all tiles pass before the rows after it, in bytes, so that it stays in the
// second-level cache; but at least so many positions, since every tile ends in sums
// over lanes. (Without these cuts 1 x 1 kernels lose a third, 3 x 3 ones a tenth.)
constexpr int64_t kWeightBytes = 512 << 10;
constexpr int64_t kWeightPositions = 64;

template <int TO, int TT>
static WeightTile weight_tile_of(int taps) {
    if constexpr (TT > 1) {
        if (taps < TT) return weight_tile_of<TO, TT - 1>(taps);
    }
    return weight_tile<TO, TT>;
}

static WeightTile weight_tile_for(int channels, int taps) {
    if constexpr (kWeightChannels >= 4) {
        if (channels == 4) return weight_tile_of<4, weight_taps(4)>(taps);
        if (channels == 3) return weight_tile_of<3, weight_taps(3)>(taps);
    }
    return channels == 2 ? weight_tile_of<2, weight_taps(2)>(taps)
                         : weight_tile_of<1, weight_taps(1)>(taps);
}

// Rows [first, first + rows) of one group's part; input values lie `kApart` apart.
template <int kApart>
static void add_weight_gradient(const ConvShape& s, int64_t g, int64_t first,
                                int64_t rows, const float* x, const float* dy,
                                float* dw) {
    const int64_t group_outputs = s.O / s.groups, group_inputs = s.C / s.groups;
    const int64_t taps = group_inputs * s.KH * s.KW, plane = s.OH * s.OW * kLanes;
    const Cut channels = cut(group_outputs, kWeightChannels);
    const float* input =
        x + (g * group_inputs * s.H + first * s.stride_h) * s.W * kApart;
    for (int64_t co = 0; co < channels.parts; ++co) {
        const int64_t begin = cut_begin(channels, co);
        const int tall = int(cut_begin(channels, co + 1) - begin);
        const int64_t o = g * group_outputs + begin;
        const float* gradient = dy + o * plane + first * s.OW * kLanes;
        const Cut tap_cut = cut(taps, weight_taps(tall));
        int64_t c = 0, kh = 0, kw = 0;
        for (int64_t t = 0; t < tap_cut.parts; ++t) {
            const int64_t tap = cut_begin(tap_cut, t);
            const int wide = int(cut_begin(tap_cut, t + 1) - tap);
            int64_t offset[kWeightTaps];
            for (int i = 0; i < wide; ++i) {
                offset[i] =
                    ((c * s.H + kh * s.dilation_h) * s.W + kw * s.dilation_w) * kApart;
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

// db[O] += the sum of dy[O][OH][OW][L]
static void bias_gradient(const ConvShape& s, const float* dy, float* db) {
    for (int64_t o = 0; o < s.O; ++o)
        db[o] += sum_all(dy + o * s.OH * s.OW * kLanes, s.OH * s.OW);
}

static void conv_weight_gradient(const ConvShape& s, const float* x, const float* dy,
                                 float* dw, float* db) {
    const int64_t inputs = s.C / s.groups * s.stride_h * s.W;
    const int64_t row =
        (inputs + kWeightChannels * s.OW) * kLanes * int64_t(sizeof(float));
    const int64_t most = kWeightBytes / row, least = (kWeightPositions - 1) / s.OW + 1;
    const Cut rows = cut(s.OH, most > least ? most : least);
    for (int64_t r = 0; r < rows.parts; ++r) {
        const int64_t first = cut_begin(rows, r);
        for (int64_t g = 0; g < s.groups; ++g)
            add_weight_gradient<kLanes>(s, g, first, cut_begin(rows, r + 1) - first, x,
                                        dy, dw);
    }
    if (db) bias_gradient(s, dy, db);
}
