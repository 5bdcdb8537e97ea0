// The table of kernels in plain loops with sums in double: the oracle the fast tables
// are tested against, the fallback, and the definition of every operation. The letters
// are those of kernels.h.
#include <cmath>
#include <cstring>

#include "dispatch.h"
#include "winograd.h"

namespace striate {
namespace {

template <class T, int L>
void conv_forward(const ConvShape& s, const T* x, const T* w, const T* bias, T* y) {
    const int64_t CG = s.C / s.groups, OG = s.O / s.groups;
    for (int64_t o = 0; o < s.O; ++o)
        for (int64_t oh = 0; oh < s.OH; ++oh)
            for (int64_t ow = 0; ow < s.OW; ++ow)
                for (int l = 0; l < L; ++l) {
                    double sum = bias ? double(bias[o]) : 0.0;
                    for (int64_t c = 0; c < CG; ++c)
                        for (int64_t kh = 0; kh < s.KH; ++kh)
                            for (int64_t kw = 0; kw < s.KW; ++kw) {
                                const int64_t ih = oh * s.stride_h + kh * s.dilation_h;
                                const int64_t iw = ow * s.stride_w + kw * s.dilation_w;
                                const int64_t ic = o / OG * CG + c;
                                sum +=
                                    double(w[((o * CG + c) * s.KH + kh) * s.KW + kw]) *
                                    double(x[((ic * s.H + ih) * s.W + iw) * L + l]);
                            }
                    y[((o * s.OH + oh) * s.OW + ow) * L + l] = T(sum);
                }
}

template <class T, int L>
void conv_input_gradient(const ConvShape& s, int64_t first, int64_t last, const T* w,
                         const T* dy, T* dx) {
    const int64_t CG = s.C / s.groups, OG = s.O / s.groups;
    for (int64_t c = first; c < last; ++c)
        for (int64_t ih = 0; ih < s.H; ++ih)
            for (int64_t iw = 0; iw < s.W; ++iw)
                for (int l = 0; l < L; ++l) {
                    double sum = 0.0;
                    for (int64_t o = c / CG * OG; o < (c / CG + 1) * OG; ++o)
                        for (int64_t kh = 0; kh < s.KH; ++kh)
                            for (int64_t kw = 0; kw < s.KW; ++kw) {
                                const int64_t h = ih - kh * s.dilation_h;
                                const int64_t v = iw - kw * s.dilation_w;
                                if (h < 0 || v < 0 || h % s.stride_h || v % s.stride_w)
                                    continue;
                                const int64_t oh = h / s.stride_h, ow = v / s.stride_w;
                                if (oh >= s.OH || ow >= s.OW) continue;
                                sum +=
                                    double(w[((o * CG + c % CG) * s.KH + kh) * s.KW +
                                             kw]) *
                                    double(dy[((o * s.OH + oh) * s.OW + ow) * L + l]);
                            }
                    dx[(((c - first) * s.H + ih) * s.W + iw) * L + l] = T(sum);
                }
}

template <class T, int L>
void conv_weight_gradient(const ConvShape& s, const T* x, const T* dy, T* dw, T* db) {
    const int64_t CG = s.C / s.groups, OG = s.O / s.groups;
    for (int64_t o = 0; o < s.O; ++o)
        for (int64_t c = 0; c < CG; ++c)
            for (int64_t kh = 0; kh < s.KH; ++kh)
                for (int64_t kw = 0; kw < s.KW; ++kw) {
                    double sum = 0.0;
                    for (int64_t oh = 0; oh < s.OH; ++oh)
                        for (int64_t ow = 0; ow < s.OW; ++ow) {
                            const int64_t ih = oh * s.stride_h + kh * s.dilation_h;
                            const int64_t iw = ow * s.stride_w + kw * s.dilation_w;
                            const int64_t ic = o / OG * CG + c;
                            const T* g = dy + ((o * s.OH + oh) * s.OW + ow) * L;
                            const T* v = x + ((ic * s.H + ih) * s.W + iw) * L;
                            for (int l = 0; l < L; ++l)
                                sum += double(g[l]) * double(v[l]);
                        }
                    T& total = dw[((o * CG + c) * s.KH + kh) * s.KW + kw];
                    total = T(double(total) + sum);
                }
    if (!db) return;
    for (int64_t o = 0; o < s.O; ++o) {
        double sum = 0.0;
        for (int64_t i = 0; i < s.OH * s.OW * L; ++i)
            sum += double(dy[o * s.OH * s.OW * L + i]);
        db[o] = T(double(db[o]) + sum);
    }
}

// Calls visit(c, oh, ow, kh, kw, input offset, output offset) for every value of every
// patch, in row-major order.
template <int L, class Visit>
void for_each_patch(const PoolShape& s, Visit visit) {
    for (int64_t c = 0; c < s.C; ++c)
        for (int64_t oh = 0; oh < s.OH; ++oh)
            for (int64_t ow = 0; ow < s.OW; ++ow)
                for (int64_t kh = 0; kh < s.KH; ++kh)
                    for (int64_t kw = 0; kw < s.KW; ++kw)
                        for (int l = 0; l < L; ++l) {
                            const int64_t ih = oh * s.stride_h + kh;
                            const int64_t iw = ow * s.stride_w + kw;
                            visit(int32_t(kh * s.KW + kw),
                                  ((c * s.H + ih) * s.W + iw) * L + l,
                                  ((c * s.OH + oh) * s.OW + ow) * L + l);
                        }
}

template <class T, int L>
void max_pool_forward(const PoolShape& s, const T* x, T* y, int32_t* winner) {
    for_each_patch<L>(s, [&](int32_t k, int64_t in, int64_t out) {
        if (k == 0 || x[in] > y[out] || std::isnan(x[in])) {
            y[out] = x[in];
            if (winner) winner[out] = k;
        }
    });
}

template <class T, int L>
void max_pool_backward(const PoolShape& s, const int32_t* winner, const T* dy, T* dx) {
    std::memset(dx, 0, sizeof(T) * size_t(s.C * s.H * s.W * L));
    for_each_patch<L>(s, [&](int32_t k, int64_t in, int64_t out) {
        if (winner[out] == k) dx[in] += dy[out];
    });
}

template <class T, int L>
void average_pool_forward(const PoolShape& s, const T* x, T* y) {
    const int32_t last = int32_t(s.KH * s.KW - 1);
    double sum[L] = {};
    // The patches of all lanes are visited together, value by value.
    for_each_patch<L>(s, [&](int32_t k, int64_t in, int64_t out) {
        double& total = sum[out % L];
        total = (k == 0 ? 0.0 : total) + double(x[in]);
        if (k == last) y[out] = T(total / double(s.KH * s.KW));
    });
}

template <class T, int L>
void average_pool_backward(const PoolShape& s, const T* dy, T* dx) {
    std::memset(dx, 0, sizeof(T) * size_t(s.C * s.H * s.W * L));
    for_each_patch<L>(s, [&](int32_t, int64_t in, int64_t out) {
        dx[in] = T(double(dx[in]) + double(dy[out]) / double(s.KH * s.KW));
    });
}

template <class T, int L>
void dense_forward(int64_t D, int64_t O, const T* x, const T* w, const T* bias, T* y) {
    for (int64_t o = 0; o < O; ++o)
        for (int l = 0; l < L; ++l) {
            double sum = bias ? double(bias[o]) : 0.0;
            for (int64_t d = 0; d < D; ++d)
                sum += double(w[o * D + d]) * double(x[d * L + l]);
            y[o * L + l] = T(sum);
        }
}

template <class T, int L>
void dense_input_gradient(int64_t D, int64_t O, int64_t first, int64_t last, const T* w,
                          const T* dy, T* dx) {
    for (int64_t d = first; d < last; ++d)
        for (int l = 0; l < L; ++l) {
            double sum = 0.0;
            for (int64_t o = 0; o < O; ++o)
                sum += double(w[o * D + d]) * double(dy[o * L + l]);
            dx[(d - first) * L + l] = T(sum);
        }
}

template <class T>
void dense_weight_gradient(int64_t N, int64_t D, int64_t first, int64_t last,
                           const T* x, int64_t x_stride, const T* dy, int64_t dy_stride,
                           T* dw, T* db) {
    for (int64_t o = first; o < last; ++o) {
        for (int64_t d = 0; d < D; ++d) {
            double sum = 0.0;
            for (int64_t n = 0; n < N; ++n)
                sum += double(dy[n * dy_stride + o]) * double(x[n * x_stride + d]);
            dw[o * D + d] = T(sum);
        }
        if (!db) continue;
        double sum = 0.0;
        for (int64_t n = 0; n < N; ++n) sum += double(dy[n * dy_stride + o]);
        db[o] = T(sum);
    }
}

template <class T, int L>
void norm_moments(const NormShape& s, const T* x, double* mean, double* deviation) {
    const double count = double(s.P * s.real);
    for (int64_t c = 0; c < s.C; ++c) {
        const T* plane = x + c * s.P * L;
        mean[c] = deviation[c] = 0.0;
        for (int64_t i = 0; i < s.P; ++i)
            for (int l = 0; l < s.real; ++l) mean[c] += double(plane[i * L + l]);
        mean[c] /= count;
        for (int64_t i = 0; i < s.P; ++i)
            for (int l = 0; l < s.real; ++l) {
                const double off = double(plane[i * L + l]) - mean[c];
                deviation[c] += off * off;
            }
    }
}

template <class T, int L>
void norm_forward(const NormShape& s, const T* x, const T* mean, const T* variance,
                  const T* w, const T* bias, T* y) {
    for (int64_t c = 0; c < s.C; ++c) {
        const double root = std::sqrt(double(variance[c]) + s.epsilon);
        for (int64_t i = c * s.P * L; i < (c + 1) * s.P * L; ++i)
            y[i] = T(double(w[c]) * (double(x[i]) - double(mean[c])) / root +
                     double(bias[c]));
    }
}

template <class T, int L>
void norm_weight_gradient(const NormShape& s, const T* x, const T* mean,
                          const T* variance, const T* dy, double* dw, double* db) {
    for (int64_t c = 0; c < s.C; ++c) {
        const double root = std::sqrt(double(variance[c]) + s.epsilon);
        dw[c] = db[c] = 0.0;
        for (int64_t i = c * s.P * L; i < (c + 1) * s.P * L; ++i) {
            db[c] += double(dy[i]);
            dw[c] += double(dy[i]) * (double(x[i]) - double(mean[c])) / root;
        }
    }
}

template <class T, int L>
void norm_input_gradient(const NormShape& s, const T* x, const T* mean,
                         const T* variance, const T* w, const T* mean_dw,
                         const T* mean_db, T* dy) {
    for (int64_t c = 0; c < s.C; ++c) {
        const double root = std::sqrt(double(variance[c]) + s.epsilon);
        const double product = mean_dw ? double(mean_dw[c]) : 0.0;
        const double mean_dy = mean_db ? double(mean_db[c]) : 0.0;
        for (int64_t i = c * s.P * L; i < (c + 1) * s.P * L; ++i) {
            const double normalised = (double(x[i]) - double(mean[c])) / root;
            const double dx =
                double(w[c]) / root * (double(dy[i]) - mean_dy - normalised * product);
            dy[i] = mean_dw && i % L >= s.real ? T(0) : T(dx);
        }
    }
}

// One image alone is a block of one lane.

template <class T>
void single_conv(const ConvShape& s, const T* x, const T* w, const T* bias, T* y, T*) {
    conv_forward<T, 1>(s, x, w, bias, y);
}

template <class T>
void single_max_pool(const PoolShape& s, const T* x, T* y) {
    max_pool_forward<T, 1>(s, x, y, nullptr);
}

template <class T>
void single_norm(const NormShape& s, const T* mean, const T* variance, const T* w,
                 const T* bias, T* x) {
    norm_forward<T, 1>(s, x, mean, variance, w, bias, x);
}

// A block with one image computes what any other does.

template <class T, int L>
void lone_forward(const ConvShape& s, const T* x, const T* w, const T* bias, T* y, T*) {
    conv_forward<T, L>(s, x, w, bias, y);
}

template <class T, int L>
void lone_input_gradient(const ConvShape& s, int64_t first, int64_t last, const T* w,
                         const T* dy, T* dx, T*) {
    conv_input_gradient<T, L>(s, first, last, w, dy, dx);
}

template <class T, int L>
void lone_weight_gradient(const ConvShape& s, const T* x, const T* dy, T* dw, T* db,
                          T*) {
    conv_weight_gradient<T, L>(s, x, dy, dw, db);
}

template <class T, int L>
void add(int64_t count, const T* a, const T* b, T* y) {
    for (int64_t i = 0; i < count * L; ++i) y[i] = a[i] + b[i];
}

template <class T, int L>
void activation_forward(const ActivationRule& rule, int64_t count, const T* x, T* y) {
    for (int64_t i = 0; i < count * L; ++i) {
        const double v = double(x[i]);
        switch (rule.kind) {
            case Activation::relu:
                y[i] = T(v < 0.0 ? 0.0 : v);
                break;
            case Activation::leaky_relu:
                y[i] = T(v < 0.0 ? rule.slope * v : v);
                break;
            case Activation::tanh:
                y[i] = T(rule.height * std::tanh(rule.steepness * v));
                break;
            case Activation::sigmoid:
                y[i] = T(1.0 / (1.0 + std::exp(-v)));
                break;
        }
    }
}

template <class T, int L>
void activation_backward(const ActivationRule& rule, int64_t count, const T* y, T* dy) {
    for (int64_t i = 0; i < count * L; ++i) {
        const double v = double(y[i]), g = double(dy[i]), height = rule.height;
        switch (rule.kind) {
            case Activation::relu:
                dy[i] = T(v <= 0.0 ? 0.0 : g);
                break;
            case Activation::leaky_relu:
                dy[i] = T(v <= 0.0 ? rule.slope * g : g);
                break;
            case Activation::tanh:
                dy[i] = T(g * rule.steepness * (height - v * v / height));
                break;
            case Activation::sigmoid:
                dy[i] = T(g * v * (1.0 - v));
                break;
        }
    }
}

// Of one lane; returns log of the sum of exponentials.
template <class T, int L>
double softmax_lane(int64_t classes, const T* logits, T* probabilities, int lane) {
    double maximum = double(logits[lane]), sum = 0.0;
    for (int64_t k = 1; k < classes; ++k)
        maximum = std::fmax(maximum, double(logits[k * L + lane]));
    for (int64_t k = 0; k < classes; ++k)
        sum += std::exp(double(logits[k * L + lane]) - maximum);
    for (int64_t k = 0; k < classes; ++k)
        probabilities[k * L + lane] =
            T(std::exp(double(logits[k * L + lane]) - maximum) / sum);
    return maximum + std::log(sum);
}

template <class T, int L>
void softmax(int64_t classes, const T* logits, T* probabilities) {
    for (int l = 0; l < L; ++l) softmax_lane<T, L>(classes, logits, probabilities, l);
}

template <class T, int L>
void softmax_cross_entropy(int64_t classes, const T* logits, const int32_t* labels,
                           const int32_t* partners, const T* shares, const T* weights,
                           double smoothing, T* gradient, double* loss,
                           int32_t* correct) {
    for (int l = 0; l < L; ++l) {
        loss[l] = 0.0;
        correct[l] = 0;
        if (labels[l] < 0) {
            for (int64_t k = 0; k < classes; ++k) gradient[k * L + l] = T(0);
            continue;
        }
        const double log_sum = softmax_lane<T, L>(classes, logits, gradient, l);
        const T own = logits[labels[l] * L + l];
        correct[l] = !std::isnan(own);
        const double share = partners ? double(shares[l]) : 0.0;
        for (int64_t k = 0; k < classes; ++k) {
            const T rival = logits[k * L + l];
            double q = smoothing / double(classes);
            if (k == labels[l]) q += (1.0 - smoothing) * (1.0 - share);
            if (partners && k == partners[l]) q += (1.0 - smoothing) * share;
            if (q > 0.0) loss[l] += q * (log_sum - double(rival));
            if (rival > own || (rival == own && k < labels[l])) correct[l] = 0;
            T& g = gradient[k * L + l];
            g = T(double(weights[l]) * (double(g) - q));
        }
    }
}

template <class T, int L>
void gather_pixels(const PixelShape& s, const uint8_t* const* images,
                   const float* table, const float* fill, T* x) {
    for (int64_t c = 0; c < s.C; ++c)
        for (int64_t h = 0; h < s.H; ++h)
            for (int64_t w = 0; w < s.W; ++w)
                for (int l = 0; l < L; ++l) {
                    const int64_t ih = h - s.top, iw = w - s.left;
                    const bool inside =
                        ih >= 0 && ih < s.height && iw >= 0 && iw < s.width;
                    x[((c * s.H + h) * s.W + w) * L + l] = T(
                        inside
                            ? table[c * 256 + images[l][(ih * s.width + iw) * s.C + c]]
                            : fill[c]);
                }
}

// Wellons' lowbias32: every bit of the result depends on every bit of x.
uint32_t mixed_bits(uint32_t x) {
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

// The four weights of a cubic B-spline at a position in its cell; returns the cell.
int64_t spline_weights(double position, double* weights) {
    const int64_t cell = int64_t(position);
    const double u = position - double(cell), v = 1.0 - u;
    weights[0] = v * v * v / 6.0;
    weights[1] = (4.0 - 6.0 * u * u + 3.0 * u * u * u) / 6.0;
    weights[2] = (4.0 - 6.0 * v * v + 3.0 * v * v * v) / 6.0;
    weights[3] = u * u * u / 6.0;
    return cell;
}

template <class T, int L>
double displacement(const Warp<T>& warp, int axis, int64_t h, int64_t w, int lane) {
    double down[4], across[4], sum = 0.0;
    const int64_t row = spline_weights(double(h) / warp.spacing, down);
    const int64_t column = spline_weights(double(w) / warp.spacing, across);
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) {
            const int64_t at = (axis * warp.GH + row + i) * warp.GW + column + j;
            sum += down[i] * across[j] * double(warp.grid[at * L + lane]);
        }
    return sum;
}

template <class T, int L>
void resample(const PixelShape& s, const Warp<T>& warp, const T* frame, T* x) {
    const int64_t FH = s.H + 3, FW = s.W + 3;
    for (int64_t h = 0; h < s.H; ++h)
        for (int64_t w = 0; w < s.W; ++w)
            for (int l = 0; l < L; ++l) {
                double at[2];
                for (int axis = 0; axis < 2; ++axis) {
                    const T* map = warp.map + 3 * axis * L + l;
                    at[axis] = double(map[0]) * double(h) + double(map[L]) * double(w) +
                               double(map[2 * L]);
                    if (warp.grid) at[axis] += displacement<T, L>(warp, axis, h, w, l);
                    const double last = double(axis ? s.W : s.H) + 1.0;
                    at[axis] = std::fmin(std::fmax(at[axis], 0.0), last);
                }
                const int64_t row = int64_t(at[0]), column = int64_t(at[1]);
                const double down = at[0] - double(row);
                const double across = at[1] - double(column);
                for (int64_t c = 0; c < s.C; ++c) {
                    const auto pixel = [&](int64_t i, int64_t j) {
                        const int64_t place = (c * FH + row + i) * FW + column + j;
                        return double(frame[place * L + l]);
                    };
                    const double top =
                        pixel(0, 0) + across * (pixel(0, 1) - pixel(0, 0));
                    const double low =
                        pixel(1, 0) + across * (pixel(1, 1) - pixel(1, 0));
                    x[((c * s.H + h) * s.W + w) * L + l] = T(top + down * (low - top));
                }
            }
}

template <class T, int L>
void adjust(const PixelShape& s, const Adjustment<T>& rule, T* x) {
    const int64_t pixels = s.H * s.W;
    for (int64_t i = 0; i < pixels; ++i)
        for (int l = 0; l < L; ++l) {
            const auto value = [&](int64_t c) -> T& {
                return x[(c * pixels + i) * L + l];
            };
            if (rule.tint) {
                double mixed[3] = {};
                for (int64_t c = 0; c < 3; ++c)
                    for (int64_t k = 0; k < 3; ++k)
                        mixed[c] +=
                            double(rule.tint[(c * 3 + k) * L + l]) * double(value(k));
                for (int64_t c = 0; c < 3; ++c) value(c) = T(mixed[c]);
            }
            const int64_t h = i / s.W, w = i % s.W;
            const int32_t* box = rule.box + l;
            const bool erased =
                h >= box[0] && h < box[L] && w >= box[2 * L] && w < box[3 * L];
            for (int64_t c = 0; c < s.C; ++c) {
                double v = double(rule.gain[l]) * double(value(c)) +
                           double(rule.offset[c * L + l]);
                if (rule.noise) {
                    const uint32_t bits =
                        mixed_bits(rule.noise_key[l] + uint32_t(c * pixels + i));
                    const uint32_t sum = (bits & 255) + (bits >> 8 & 255) +
                                         (bits >> 16 & 255) + (bits >> 24);
                    v += double(rule.noise[c]) * (double(sum) - 510.0);
                }
                v = std::fmin(std::fmax(v, double(rule.low[c])), double(rule.high[c]));
                value(c) = erased ? T(0) : T(v);
            }
        }
}

template <class T, int L>
void blend(int64_t count, const T* share, const T* other, T* x) {
    for (int64_t i = 0; i < count * L; ++i)
        x[i] =
            T(double(x[i]) + double(share[i % L]) * (double(other[i]) - double(x[i])));
}

template <class T, int L>
void lanes_to_rows(int64_t count, const T* x, T* rows, int64_t stride) {
    for (int64_t i = 0; i < count; ++i)
        for (int l = 0; l < L; ++l) rows[l * stride + i] = x[i * L + l];
}

template <class T>
double sum_squares(int64_t count, const T* x) {
    double squares = 0.0;
    for (int64_t i = 0; i < count; ++i) squares += double(x[i]) * double(x[i]);
    return squares;
}

template <class T>
double sum_slices(int64_t count, int64_t slices, const T* const* parts, T* sum) {
    double squares = 0.0;
    for (int64_t i = 0; i < count; ++i) {
        double total = 0.0;
        for (int64_t s = 0; s < slices; ++s) total += double(parts[s][i]);
        sum[i] = T(total);
        squares += total * total;
    }
    return squares;
}

template <class T>
void update(const UpdateRule& rule, int64_t count, T* w, const T* gradient, T* state0,
            T* state1) {
    for (int64_t i = 0; i < count; ++i) {
        double weight = double(w[i]), g = double(gradient[i]) * rule.gradient_scale;
        if (rule.kind == Optimizer::adamw) {
            weight -= rule.learning_rate * rule.weight_decay * weight;
        } else {
            g += rule.weight_decay * weight;
        }
        if (rule.kind == Optimizer::sgd) {
            if (state0) {
                const double velocity = rule.momentum * double(state0[i]) + g;
                state0[i] = T(velocity);
                g = rule.nesterov ? g + rule.momentum * velocity : velocity;
            }
            w[i] = T(weight - rule.learning_rate * g);
            continue;
        }
        const double mean = rule.beta1 * double(state0[i]) + (1.0 - rule.beta1) * g;
        const double square =
            rule.beta2 * double(state1[i]) + (1.0 - rule.beta2) * g * g;
        state0[i] = T(mean);
        state1[i] = T(square);
        w[i] = T(weight - rule.learning_rate * (mean / rule.correction1) /
                              (std::sqrt(square / rule.correction2) + rule.epsilon));
    }
}

template <class T>
void average(double share, int64_t count, const T* w, T* average) {
    for (int64_t i = 0; i < count; ++i)
        average[i] =
            T(double(average[i]) + share * (double(w[i]) - double(average[i])));
}

template <class T, int L>
constexpr Kernels<T> kTable = {
    "reference",
    L,
    conv_forward<T, L>,
    conv_input_gradient<T, L>,
    conv_weight_gradient<T, L>,
    reference::winograd_forward<T, L>,
    reference::winograd_input_gradient<T, L>,
    reference::winograd_weight_gradient<T, L>,
    max_pool_forward<T, L>,
    max_pool_backward<T, L>,
    average_pool_forward<T, L>,
    average_pool_backward<T, L>,
    dense_forward<T, L>,
    dense_input_gradient<T, L>,
    dense_weight_gradient<T>,
    norm_moments<T, L>,
    norm_forward<T, L>,
    norm_weight_gradient<T, L>,
    norm_input_gradient<T, L>,
    single_conv<T>,
    dense_forward<T, 1>,
    single_max_pool<T>,
    average_pool_forward<T, 1>,
    single_norm<T>,
    lone_forward<T, L>,
    lone_input_gradient<T, L>,
    lone_weight_gradient<T, L>,
    add<T, L>,
    activation_forward<T, L>,
    activation_backward<T, L>,
    softmax_cross_entropy<T, L>,
    softmax<T, L>,
    gather_pixels<T, L>,
    resample<T, L>,
    adjust<T, L>,
    blend<T, L>,
    lanes_to_rows<T, L>,
    sum_squares<T>,
    sum_slices<T>,
    update<T>,
    average<T>,
};

}  // namespace

template <class T>
KernelSet<T> reference_kernels() {
    return {kTable<T, 16>, kTable<T, 8>};
}

template KernelSet<float> reference_kernels();
template KernelSet<double> reference_kernels();

}  // namespace striate
