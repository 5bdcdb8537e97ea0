// One image alone, where 15 of the 16 lanes of a block would be empty. Its activations
// are plain planes x[C][H][W], and the lanes of a vector hold what a layer has many of:
// neighbouring pixels of a plane, output channels, or the inputs of a dense layer.
//
// Weights are read where they lie or, where output channels are in the lanes, copied
// into place by each call: that costs less than a tenth of most layers, and then no
// copy can ever be older than the weights. Vectors that reach over the end of an
// activation find room there (kernels.h); those of weights step back instead and
// overlap the ones before them.

// ---- moving lanes -------------------------------------------------------------------

// The even lanes of a, then those of b.
STRIATE_INLINE Vector even_lanes(Vector a, Vector b) {
#if defined(__clang__)
    Vector even;
    STRIATE_UNROLL
    for (int i = 0; i < kWidth; ++i)
        even[i] = i < kWidth / 2 ? a[2 * i % kWidth] : b[2 * i % kWidth];
    return even;
#else
    IntVector from;
    STRIATE_UNROLL
    for (int i = 0; i < kWidth; ++i) from[i] = 2 * i;
    return __builtin_shuffle(a, b, from);
#endif
}

// y[columns][y_stride] from x[rows][x_stride], transposed, of up to kWidth rows. Lanes
// of y beyond them repeat the last row.
static void rows_to_lanes(int64_t rows, int64_t columns, const float* x,
                          int64_t x_stride, float* y, int64_t y_stride) {
    const int64_t last = rows - 1;
    if (columns < kWidth) {
        for (int64_t i = 0; i < kWidth; ++i) {
            for (int64_t j = 0; j < columns; ++j)
                y[j * y_stride + i] = x[(i < last ? i : last) * x_stride + j];
        }
        return;
    }
    for (int64_t j = 0; j < columns; j += kWidth) {
        const int64_t begin = j + kWidth <= columns ? j : columns - kWidth;
        Vector block[kWidth];
        STRIATE_UNROLL
        for (int i = 0; i < kWidth; ++i)
            block[i] = load_loose(x + (i < last ? i : last) * x_stride + begin);
        transpose(block);
        STRIATE_UNROLL
        for (int i = 0; i < kWidth; ++i) store(y + (begin + i) * y_stride, block[i]);
    }
}

// The way back: y[rows][columns] from x[columns][x_stride].
static void lanes_to_planes(int64_t rows, int64_t columns, const float* x,
                            int64_t x_stride, float* y) {
    if (columns < kWidth) {
        for (int64_t i = 0; i < rows; ++i) {
            for (int64_t j = 0; j < columns; ++j)
                y[i * columns + j] = x[j * x_stride + i];
        }
        return;
    }
    for (int64_t j = 0; j < columns; j += kWidth) {
        const int64_t begin = j + kWidth <= columns ? j : columns - kWidth;
        Vector block[kWidth];
        STRIATE_UNROLL
        for (int i = 0; i < kWidth; ++i) block[i] = load(x + (begin + i) * x_stride);
        transpose(block);
        STRIATE_UNROLL
        for (int i = 0; i < kWidth; ++i) {
            if (i < rows) store_loose(y + i * columns + begin, block[i]);
        }
    }
}

// ---- convolution, pixels in the lanes -----------------------------------------------

// TO output channels of TV vectors of pixels, stride 1. A vector may run through the
// end of a row: what it computes there is not used.
template <int TO, int TV>
static void pixel_tile(const ConvShape& s, const float* x, const float* w,
                       const float* bias, float* y, int64_t y_stride) {
    const int64_t taps = s.C / s.groups * s.KH * s.KW;
    Vector sum[TO][TV];
    STRIATE_UNROLL
    for (int i = 0; i < TO; ++i) {
        STRIATE_UNROLL
        for (int j = 0; j < TV; ++j) sum[i][j] = broadcast(bias ? bias[i] : 0.0f);
    }
    for (int64_t c = 0; c < s.C / s.groups; ++c) {
        for (int64_t kh = 0; kh < s.KH; ++kh) {
            const float* value = x + (c * s.H + kh * s.dilation_h) * s.W;
            for (int64_t kw = 0; kw < s.KW; ++kw, ++w, value += s.dilation_w) {
                Vector pixels[TV];
                STRIATE_UNROLL
                for (int j = 0; j < TV; ++j)
                    pixels[j] = held(load_loose(value + j * kWidth));
                STRIATE_UNROLL
                for (int i = 0; i < TO; ++i) {
                    const Vector weight = broadcast(w[i * taps]);
                    STRIATE_UNROLL
                    for (int j = 0; j < TV; ++j) sum[i][j] += weight * pixels[j];
                }
            }
        }
    }
    STRIATE_UNROLL
    for (int i = 0; i < TO; ++i) {
        STRIATE_UNROLL
        for (int j = 0; j < TV; ++j)
            store_loose(y + i * y_stride + j * kWidth, sum[i][j]);
    }
}

constexpr int kPixelChannels = 4;
constexpr int kPixelVectors = kRegisters == 32 ? 4 : 2;

typedef void (*PixelTile)(const ConvShape&, const float*, const float*, const float*,
                          float*, int64_t);

template <int TO>
static PixelTile pixel_tile_of(int vectors) {
    if constexpr (kPixelVectors == 4) {
        if (vectors == 4) return pixel_tile<TO, 4>;
        if (vectors == 3) return pixel_tile<TO, 3>;
    }
    return vectors == 2 ? pixel_tile<TO, 2> : pixel_tile<TO, 1>;
}

static PixelTile pixel_tile_for(int channels, int vectors) {
    switch (channels) {
        case 4:
            return pixel_tile_of<4>(vectors);
        case 3:
            return pixel_tile_of<3>(vectors);
        case 2:
            return pixel_tile_of<2>(vectors);
        default:
            return pixel_tile_of<1>(vectors);
    }
}

// The stretches of pixels that vectors walk along: each row of the output or, where
// rows do not fill vectors, all rows at once with what lies between them.
struct Lines {
    int64_t count, length, vectors;
};
static Lines lines_of(const ConvShape& s) {
    const bool rows = s.OW % kWidth == 0;
    const int64_t length = rows ? s.OW : (s.OH - 1) * s.W + s.OW;
    return {rows ? s.OH : 1, length, (length + kWidth - 1) / kWidth};
}

// y[count][OH][OW] from lines[count][stride], whose rows are those of the input.
static void drop_ends(const ConvShape& s, int64_t count, const float* lines,
                      int64_t stride, float* y) {
    for (int64_t i = 0; i < count; ++i) {
        for (int64_t oh = 0; oh < s.OH; ++oh) {
            const float* row = lines + i * stride + oh * s.W;
            float* out = y + (i * s.OH + oh) * s.OW;
            for (int64_t ow = 0; ow < s.OW; ow += kWidth)
                store_loose(out + ow, load_loose(row + ow));
        }
    }
}

static void conv_pixels(const ConvShape& s, const float* x, const float* w,
                        const float* bias, float* y, float* scratch) {
    const int64_t group_outputs = s.O / s.groups, group_inputs = s.C / s.groups;
    const int64_t taps = group_inputs * s.KH * s.KW, plane = s.OH * s.OW;
    const Lines lines = lines_of(s);
    const bool whole =
        lines.length % kWidth == 0 && lines.length * lines.count == plane;
    const int64_t stride = whole ? plane : lines.vectors * kWidth;
    const Cut vectors = cut(lines.vectors, kPixelVectors);
    const Cut channels = cut(group_outputs, kPixelChannels);
    for (int64_t g = 0; g < s.groups; ++g) {
        for (int64_t co = 0; co < channels.parts; ++co) {
            const int64_t begin = cut_begin(channels, co);
            const int64_t count = cut_begin(channels, co + 1) - begin;
            const int64_t o = g * group_outputs + begin;
            const PixelTile longer =
                pixel_tile_for(int(count), int(vectors.base + (vectors.longer > 0)));
            const PixelTile shorter = pixel_tile_for(int(count), int(vectors.base));
            float* out = whole ? y + o * plane : scratch;
            for (int64_t l = 0; l < lines.count; ++l) {
                const float* line = x + (g * group_inputs * s.H + l) * s.W;
                for (int64_t v = 0; v < vectors.parts; ++v) {
                    const int64_t at = cut_begin(vectors, v) * kWidth;
                    const PixelTile tile = v < vectors.longer ? longer : shorter;
                    tile(s, line + at, w + o * taps, bias ? bias + o : nullptr,
                         out + l * s.OW + at, stride);
                }
            }
            if (!whole) drop_ends(s, count, scratch, stride, y + o * plane);
        }
    }
}

// ---- convolution, output channels in the lanes --------------------------------------

// TV vectors of output channels of TP pixels in a row: y[TP][TV][kWidth]. With S = 1
// pixels are neighbours; S = 0 takes the stride from the shape.
template <int TV, int TP, int S>
static void channel_tile(const ConvShape& s, const float* x, const float* w,
                         const float* bias, float* y) {
    const int64_t step = S ? S : s.stride_w;
    Vector sum[TV][TP];
    STRIATE_UNROLL
    for (int v = 0; v < TV; ++v) {
        const Vector start = load(bias + v * kWidth);
        STRIATE_UNROLL
        for (int p = 0; p < TP; ++p) sum[v][p] = start;
    }
    for (int64_t c = 0; c < s.C / s.groups; ++c) {
        for (int64_t kh = 0; kh < s.KH; ++kh) {
            const float* value = x + (c * s.H + kh * s.dilation_h) * s.W;
            for (int64_t kw = 0; kw < s.KW; ++kw) {
                Vector weight[TV];
                STRIATE_UNROLL
                for (int v = 0; v < TV; ++v) weight[v] = load_held(w + v * kWidth);
                STRIATE_UNROLL
                for (int p = 0; p < TP; ++p) {
                    const Vector pixel = broadcast(value[p * step]);
                    STRIATE_UNROLL
                    for (int v = 0; v < TV; ++v) sum[v][p] += weight[v] * pixel;
                }
                w += TV * kWidth;
                value += s.dilation_w;
            }
        }
    }
    STRIATE_UNROLL
    for (int p = 0; p < TP; ++p) {
        STRIATE_UNROLL
        for (int v = 0; v < TV; ++v) store(y + (p * TV + v) * kWidth, sum[v][p]);
    }
}

constexpr int kChannelPixels = kRegisters == 32 ? 10 : 5;

typedef void (*ChannelTile)(const ConvShape&, const float*, const float*, const float*,
                            float*);

template <int TV, int S, int TP = kChannelPixels>
static ChannelTile channel_tile_of(int pixels) {
    if constexpr (TP > 1) {
        if (pixels < TP) return channel_tile_of<TV, S, TP - 1>(pixels);
    }
    return channel_tile<TV, TP, S>;
}

static ChannelTile channel_tile_for(const ConvShape& s, int vectors, int pixels) {
    if (s.stride_w == 1)
        return vectors == 2 ? channel_tile_of<2, 1>(pixels)
                            : channel_tile_of<1, 1>(pixels);
    return vectors == 2 ? channel_tile_of<2, 0>(pixels) : channel_tile_of<1, 0>(pixels);
}

// The weights of one or two vectors of channels are put side by side, used for every
// pixel, and the sums put back into planes.
static void conv_channels(const ConvShape& s, const float* x, const float* w,
                          const float* bias, float* y, float* scratch) {
    const int64_t group_outputs = s.O / s.groups, group_inputs = s.C / s.groups;
    const int64_t taps = group_inputs * s.KH * s.KW, plane = s.OH * s.OW;
    const Cut pixels = cut(s.OW, kChannelPixels);
    const Cut vectors = cut((group_outputs + kWidth - 1) / kWidth, 2);
    for (int64_t g = 0; g < s.groups; ++g) {
        for (int64_t cv = 0; cv < vectors.parts; ++cv) {
            const int64_t begin = cut_begin(vectors, cv);
            const int wide = int(cut_begin(vectors, cv + 1) - begin);
            const int64_t o = g * group_outputs + begin * kWidth;
            const int64_t width = wide * kWidth, end = (g + 1) * group_outputs;
            float* packed = scratch;               // [taps][width]
            float* start = packed + taps * width;  // [width]
            float* sums = start + width;           // [plane][width]
            for (int64_t i = 0; i < width; ++i)
                start[i] = bias && o + i < end ? bias[o + i] : 0.0f;
            for (int v = 0; v < wide; ++v) {
                const int64_t first = o + v * kWidth;
                rows_to_lanes(first + kWidth <= end ? kWidth : end - first, taps,
                              w + first * taps, taps, packed + v * kWidth, width);
            }
            const ChannelTile longer =
                channel_tile_for(s, wide, int(pixels.base + (pixels.longer > 0)));
            const ChannelTile shorter = channel_tile_for(s, wide, int(pixels.base));
            for (int64_t oh = 0; oh < s.OH; ++oh) {
                const float* row = x + (g * group_inputs * s.H + oh * s.stride_h) * s.W;
                for (int64_t p = 0; p < pixels.parts; ++p) {
                    const int64_t ow = cut_begin(pixels, p);
                    const ChannelTile tile = p < pixels.longer ? longer : shorter;
                    tile(s, row + ow * s.stride_w, packed, start,
                         sums + (oh * s.OW + ow) * width);
                }
            }
            for (int v = 0; v < wide; ++v) {
                const int64_t first = o + v * kWidth;
                lanes_to_planes(first + kWidth <= end ? kWidth : end - first, plane,
                                sums + v * kWidth, width, y + first * plane);
            }
        }
    }
}

// Which way takes fewer vectors: pixels fill the lanes of wide maps, channels those of
// small ones; and only the latter can step over pixels. Putting a vector of weights
// into place costs about as much as using it for six pixels.
static void single_conv(const ConvShape& shape, const float* x, const float* w,
                        const float* bias, float* y, float* scratch) {
    const ConvShape s = without_rows(shape);
    const Lines lines = lines_of(s);
    const int64_t vectors = (s.O / s.groups + kWidth - 1) / kWidth * s.groups;
    const bool pixels =
        s.stride_h == 1 && s.stride_w == 1 &&
        s.O * lines.count * lines.vectors <= vectors * (s.OH * s.OW + 6);
    (pixels ? conv_pixels : conv_channels)(s, x, w, bias, y, scratch);
}

// ---- the other layers ---------------------------------------------------------------

// Along the inputs, so that the weights are read as they lie. More rows of them at once
// than four are slower to come from the second-level cache.
static void single_dense(int64_t D, int64_t O, const float* x, const float* w,
                         const float* bias, float* y) {
    constexpr int rows = 4;
    const int64_t whole = D / kWidth * kWidth;
    if (whole == 0) {
        for (int64_t o = 0; o < O; ++o) {
            y[o] = bias ? bias[o] : 0.0f;
            for (int64_t d = 0; d < D; ++d) y[o] += w[o * D + d] * x[d];
        }
        return;
    }
    // The inputs that whole vectors leave over, in the last lanes of one that ends
    // where they end.
    alignas(64) float left[kWidth] = {};
    for (int64_t d = whole; d < D; ++d) left[d + kWidth - D] = x[d];
    const Vector rest = load(left);
    for (int64_t o = 0; o < O; o += rows) {
        const float* row[rows];
        STRIATE_UNROLL
        for (int i = 0; i < rows; ++i) row[i] = w + (o + i < O ? o + i : O - 1) * D;
        Vector sum[rows] = {};
        for (int64_t d = 0; d < whole; d += kWidth) {
            const Vector value = load_held(x + d);
            STRIATE_UNROLL
            for (int i = 0; i < rows; ++i) sum[i] += load_loose(row[i] + d) * value;
        }
        if (whole < D) {
            STRIATE_UNROLL
            for (int i = 0; i < rows; ++i)
                sum[i] += load_loose(row[i] + D - kWidth) * rest;
        }
        store_loose(y + o, sums_over_lanes<rows>(sum));
    }
    for (int64_t o = 0; bias && o < O; ++o) y[o] += bias[o];
}

// The values p[0], p[S], p[2 S] ... of a row.
template <int S>
STRIATE_INLINE Vector load_every(const float* p) {
    if constexpr (S == 1) return load_loose(p);
    return even_lanes(load_loose(p), load_loose(p + kWidth));
}

// y = finish(all values of a window combined), for windows S columns apart; of K rows
// and columns where K is not 0.
template <int S, int K, class Combine, class Finish>
static void pool_rows(const PoolShape& s, const float* x, float* y,
                      const Combine& combine, const Finish& finish) {
    const int64_t KH = K ? K : s.KH, KW = K ? K : s.KW;
    for (int64_t c = 0; c < s.C; ++c) {
        for (int64_t oh = 0; oh < s.OH; ++oh) {
            const float* top = x + (c * s.H + oh * s.stride_h) * s.W;
            for (int64_t ow = 0; ow < s.OW; ow += kWidth) {
                Vector value = load_every<S>(top + ow * S);
                for (int64_t kh = 0; kh < KH; ++kh) {
                    for (int64_t kw = kh == 0; kw < KW; ++kw)
                        value =
                            combine(value, load_every<S>(top + kh * s.W + ow * S + kw));
                }
                store_loose(y + (c * s.OH + oh) * s.OW + ow, finish(value));
            }
        }
    }
}

// The same one window at a time, for the rest.
template <class Combine, class Finish>
static void pool_windows(const PoolShape& s, const float* x, float* y,
                         const Combine& combine, const Finish& finish) {
    for (int64_t c = 0; c < s.C; ++c) {
        for (int64_t oh = 0; oh < s.OH; ++oh) {
            for (int64_t ow = 0; ow < s.OW; ++ow) {
                const float* corner =
                    x + (c * s.H + oh * s.stride_h) * s.W + ow * s.stride_w;
                Vector value = broadcast(corner[0]);
                for (int64_t kh = 0; kh < s.KH; ++kh) {
                    for (int64_t kw = kh == 0; kw < s.KW; ++kw)
                        value = combine(value, broadcast(corner[kh * s.W + kw]));
                }
                y[(c * s.OH + oh) * s.OW + ow] = finish(value)[0];
            }
        }
    }
}

template <class Combine, class Finish>
static void pool(const PoolShape& s, const float* x, float* y, const Combine& combine,
                 const Finish& finish) {
    if (s.stride_w == 1 && s.OW > 1) {
        pool_rows<1, 0>(s, x, y, combine, finish);
    } else if (s.stride_w == 2 && s.KH == 2 && s.KW == 2) {
        pool_rows<2, 2>(s, x, y, combine, finish);
    } else if (s.stride_w == 2 && s.OW > 1) {
        pool_rows<2, 0>(s, x, y, combine, finish);
    } else {
        pool_windows(s, x, y, combine, finish);
    }
}

static void single_max_pool(const PoolShape& s, const float* x, float* y) {
    // NaN, unlike itself, passes on.
    const auto larger = [](Vector best, Vector v) {
        return select((v > best) | (v != v), v, best);
    };
    pool(s, x, y, larger, [](Vector v) { return v; });
}

static void single_average_pool(const PoolShape& s, const float* x, float* y) {
    const float share = 1.0f / float(s.KH * s.KW);
    const int64_t plane = s.H * s.W;
    if (s.KH * s.KW == plane) {  // global
        for (int64_t c = 0; c < s.C; ++c, x += plane) {
            int64_t i = 0;
            Vector sums = {};
            for (; i + kWidth <= plane; i += kWidth) sums += load_loose(x + i);
            float sum = sums_over_lanes<1>(&sums)[0];
            for (; i < plane; ++i) sum += x[i];
            y[c] = sum * share;
        }
        return;
    }
    pool(
        s, x, y, [](Vector a, Vector b) { return a + b; },
        [share](Vector sum) { return sum * share; });
}

static void single_norm(const NormShape& s, const float* mean, const float* variance,
                        const float* w, const float* bias, float* x) {
    for (int64_t c = 0; c < s.C; ++c) {
        const float scale =
            float(double(w[c]) / __builtin_sqrt(double(variance[c]) + s.epsilon));
        const float center = mean[c], shift = bias[c];
        for (int64_t i = c * s.P; i < (c + 1) * s.P; ++i)
            x[i] = (x[i] - center) * scale + shift;
    }
}
