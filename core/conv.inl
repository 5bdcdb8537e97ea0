// Convolution, forward; conv_gradients.inl is the way back.
//
// All its kernels hold a tile of accumulators in registers and walk the sum over it.
// The tile's sides are chosen so that accumulators, inputs and one weight fit the
// registers of the instruction set; rows are cut into tiles of nearly equal width,
// so that no column is computed twice or thrown away.

// Widest tile in columns, and how many output channels go with a tile of a width. The
// row that a tile of kernel width KW holds is KW - 1 longer (0: not held). Tiles that
// would need the last register spill: 6 columns do better than 7 for widths of 3.
constexpr int tile_columns(int KW) {
    return kRegisters != 32 ? 5 : KW == 1 || KW == 3 ? 6 : 7;
}
constexpr int tile_channels(int columns, int KW) {
    if (kRegisters == 32) {
        const int held = columns + (KW > 1 ? KW - 1 : 0);
        const int most = (kRegisters - 1 - held) / columns;
        return most < 4 ? most : 4;
    }
    return columns >= 4 ? 2 : columns == 3 ? 3 : 4;
}

// The i-th of the parts that `total` is cut into, each at most `most` long.
struct Cut {
    int64_t parts, base, longer;
};
STRIATE_INLINE Cut cut(int64_t total, int64_t most) {
    const int64_t parts = (total + most - 1) / most;
    return {parts, total / parts, total % parts};
}
STRIATE_INLINE int64_t cut_begin(const Cut& c, int64_t i) {
    return i * c.base + (i < c.longer ? i : c.longer);
}

// A 1 x 1 kernel of stride 1 knows no rows: with all of them as one, the ends of rows
// are no ends of tiles.
STRIATE_INLINE ConvShape without_rows(ConvShape s) {
    if (s.KH * s.KW == 1 && s.stride_h * s.stride_w == 1 && s.W == s.OW) {
        s.W *= s.H;
        s.OW *= s.OH;
        s.H = s.OH = 1;
    }
    return s;
}

// ---- forward ------------------------------------------------------------------------

// One tile: TO output channels by TW columns of one row, one native vector of lanes.
// `w` points at the first channel's kernel, `x` at the tile's first input value.
// With KW > 0 (stride and dilation 1), where there are registers enough, the row stays
// in them across the taps: one load an input value instead of KW.
template <int TO, int TW, int KW>
static void forward_tile(const ConvShape& s, const float* x, const float* w,
                         const float* bias, const ActivationRule* rectifier, float* y) {
    const int64_t taps = s.C / s.groups * s.KH * s.KW, plane = s.OH * s.OW * kLanes;
    Vector sum[TO][TW];
    STRIATE_UNROLL
    for (int i = 0; i < TO; ++i) {
        STRIATE_UNROLL
        for (int j = 0; j < TW; ++j) sum[i][j] = broadcast(bias ? bias[i] : 0.0f);
    }
    for (int64_t c = 0; c < s.C / s.groups; ++c) {
        for (int64_t kh = 0; kh < s.KH; ++kh) {
            const float* row = x + (c * s.H + kh * s.dilation_h) * s.W * kLanes;
            const float* tap = w + (c * s.KH + kh) * s.KW;
            if constexpr (KW > 0 && kRegisters == 32) {
                Vector value[TW + KW - 1];
                STRIATE_UNROLL
                for (int j = 0; j < TW + KW - 1; ++j)
                    value[j] = load_held(row + j * kLanes);
                STRIATE_UNROLL
                for (int kw = 0; kw < KW; ++kw) {
                    STRIATE_UNROLL
                    for (int i = 0; i < TO; ++i) {
                        const Vector weight = broadcast(tap[i * taps + kw]);
                        STRIATE_UNROLL
                        for (int j = 0; j < TW; ++j)
                            sum[i][j] += weight * value[kw + j];
                    }
                }
            } else {
                const int64_t columns = KW > 0 ? KW : s.KW;
                const int64_t dilation = KW > 0 ? 1 : s.dilation_w;
                const int64_t stride = KW > 0 ? 1 : s.stride_w;
                for (int64_t kw = 0; kw < columns; ++kw) {
                    const float* first = load_anew(row + kw * dilation * kLanes);
                    // The shorter side of the tile is held, the other passes by.
                    if constexpr (TO < TW) {
                        Vector weight[TO];
                        STRIATE_UNROLL
                        for (int i = 0; i < TO; ++i)
                            weight[i] = broadcast(tap[i * taps + kw]);
                        STRIATE_UNROLL
                        for (int j = 0; j < TW; ++j) {
                            const Vector value = load_held(first + j * stride * kLanes);
                            STRIATE_UNROLL
                            for (int i = 0; i < TO; ++i) sum[i][j] += weight[i] * value;
                        }
                    } else {
                        Vector value[TW];
                        STRIATE_UNROLL
                        for (int j = 0; j < TW; ++j)
                            value[j] = load_held(first + j * stride * kLanes);
                        STRIATE_UNROLL
                        for (int i = 0; i < TO; ++i) {
                            const Vector weight = broadcast(tap[i * taps + kw]);
                            STRIATE_UNROLL
                            for (int j = 0; j < TW; ++j) sum[i][j] += weight * value[j];
                        }
                    }
                }
            }
        }
    }
    if (rectifier) {  // apart, or compilers keep accumulators in memory for its sake
        STRIATE_UNROLL
        for (int i = 0; i < TO; ++i) {
            rectify(rectifier, sum[i]);
            STRIATE_UNROLL
            for (int j = 0; j < TW; ++j) store(y + i * plane + j * kLanes, sum[i][j]);
        }
        return;
    }
    STRIATE_UNROLL
    for (int i = 0; i < TO; ++i) {
        STRIATE_UNROLL
        for (int j = 0; j < TW; ++j) store(y + i * plane + j * kLanes, sum[i][j]);
    }
}

typedef void (*ForwardTile)(const ConvShape&, const float*, const float*, const float*,
                            const ActivationRule*, float*);

template <int TW, int KW>
static ForwardTile forward_tile_of(int channels) {
    constexpr int most = tile_channels(TW, KW);
    if constexpr (most >= 4) {
        if (channels == 4) return forward_tile<4, TW, KW>;
    }
    if constexpr (most >= 3) {
        if (channels == 3) return forward_tile<3, TW, KW>;
    }
    return channels == 2 ? forward_tile<2, TW, KW> : forward_tile<1, TW, KW>;
}

template <int KW>
static ForwardTile forward_tile_for(int channels, int columns) {
    if constexpr (tile_columns(KW) >= 7) {
        if (columns == 7) return forward_tile_of<7, KW>(channels);
    }
    if constexpr (tile_columns(KW) >= 6) {
        if (columns == 6) return forward_tile_of<6, KW>(channels);
    }
    switch (columns) {
        case 5:
            return forward_tile_of<5, KW>(channels);
        case 4:
            return forward_tile_of<4, KW>(channels);
        case 3:
            return forward_tile_of<3, KW>(channels);
        case 2:
            return forward_tile_of<2, KW>(channels);
        default:
            return forward_tile_of<1, KW>(channels);
    }
}

// The kernel widths that have tiles of their own, 0 for all others.
static int known_width(const ConvShape& s) {
    if (s.KW == 1 && s.stride_w == 1) return 1;
    const bool dense = s.stride_w == 1 && s.dilation_w == 1;
    return dense && (s.KW == 3 || s.KW == 5) ? int(s.KW) : 0;
}
static ForwardTile forward_tile_for(int KW, int channels, int columns) {
    switch (KW) {
        case 1:
            return forward_tile_for<1>(channels, columns);
        case 3:
            return forward_tile_for<3>(channels, columns);
        case 5:
            return forward_tile_for<5>(channels, columns);
        default:
            return forward_tile_for<0>(channels, columns);
    }
}

// All output channels pass a tile's columns before the next ones, and all of a row
// before the next row: what they read stays in the caches, the rows of KH in the second
// level, a tile's columns often in the first. (Plane by plane instead, 1 x 1 kernels
// lose a third.)
static void conv_forward(const ConvShape& shape, const float* x, const float* w,
                         const float* bias, const ActivationRule* rectifier, float* y) {
    const ConvShape s = without_rows(shape);
    const int64_t group_outputs = s.O / s.groups, group_inputs = s.C / s.groups;
    const int64_t taps = group_inputs * s.KH * s.KW;
    const int KW = known_width(s);
    const Cut columns = cut(s.OW, tile_columns(KW));
    const int wide = int(columns.base + (columns.longer > 0));
    const Cut channels = cut(group_outputs, tile_channels(wide, KW));
    const int tall = int(channels.base);
    // By whether there is one column more, and one channel more.
    const ForwardTile tiles[2][2] = {
        {forward_tile_for(KW, tall, int(columns.base)),
         forward_tile_for(KW, tall + 1, int(columns.base))},
        {forward_tile_for(KW, tall, wide), forward_tile_for(KW, tall + 1, wide)}};
    for (int64_t g = 0; g < s.groups; ++g) {
        for (int64_t oh = 0; oh < s.OH; ++oh) {
            const float* row =
                x + (g * group_inputs * s.H + oh * s.stride_h) * s.W * kLanes;
            for (int64_t t = 0; t < columns.parts; ++t) {
                const int64_t ow = cut_begin(columns, t);
                for (int64_t co = 0; co < channels.parts; ++co) {
                    const int64_t o = g * group_outputs + cut_begin(channels, co);
                    const ForwardTile tile =
                        tiles[t < columns.longer][co < channels.longer];
                    for (int part = 0; part < kLanes; part += kWidth) {
                        tile(s, row + ow * s.stride_w * kLanes + part, w + o * taps,
                             bias ? bias + o : nullptr, rectifier,
                             y + ((o * s.OH + oh) * s.OW + ow) * kLanes + part);
                    }
                }
            }
        }
    }
}
