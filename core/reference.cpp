// The table of kernels in plain loops with sums in double: the oracle the fast tables
// are tested against, the fallback, and the definition of every operation. The letters
// are those of kernels.h.
#include <cmath>
#include <cstring>

#include "dispatch.h"
#include "winograd.h"

namespace striate {
namespace {

#include "augment_reference.inl"
#include "pointwise_reference.inl"

template <class T, int L>
void conv_forward(const ConvShape& s, const T* x, const T* w, const T* bias,
                  const ActivationRule* rectifier, T* y) {
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
                    y[((o * s.OH + oh) * s.OW + ow) * L + l] =
                        T(rectified(rectifier, sum));
                }
}

template <class T, int L>
void conv_input_gradient(const ConvShape& s, int64_t first, int64_t last, const T* w,
                         const T* dy, const ActivationRule* rectifier, const T* y,
                         T* dx) {
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
                    const int64_t at = (((c - first) * s.H + ih) * s.W + iw) * L + l;
                    dx[at] = T(rectifier ? passed_back(*rectifier, double(y[at]), sum)
                                         : sum);
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
void max_pool_backward(const PoolShape& s, const int32_t* winner,
                       const ActivationRule* rectifier, const T* y, const T* dy,
                       T* dx) {
    std::memset(dx, 0, sizeof(T) * size_t(s.C * s.H * s.W * L));
    for_each_patch<L>(s, [&](int32_t k, int64_t in, int64_t out) {
        if (winner[out] != k) return;
        dx[in] += rectifier
                      ? T(passed_back(*rectifier, double(y[out]), double(dy[out])))
                      : dy[out];
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
void dense_forward(int64_t D, int64_t O, const T* x, const T* w, const T* bias,
                   const ActivationRule* rectifier, T* y) {
    for (int64_t o = 0; o < O; ++o)
        for (int l = 0; l < L; ++l) {
            double sum = bias ? double(bias[o]) : 0.0;
            for (int64_t d = 0; d < D; ++d)
                sum += double(w[o * D + d]) * double(x[d * L + l]);
            y[o * L + l] = T(rectified(rectifier, sum));
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
                  const T* w, const T* bias, const ActivationRule* rectifier, T* y) {
    for (int64_t c = 0; c < s.C; ++c) {
        const double root = std::sqrt(double(variance[c]) + s.epsilon);
        for (int64_t i = c * s.P * L; i < (c + 1) * s.P * L; ++i)
            y[i] = T(rectified(rectifier,
                               double(w[c]) * (double(x[i]) - double(mean[c])) / root +
                                   double(bias[c])));
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
    conv_forward<T, 1>(s, x, w, bias, nullptr, y);
}

template <class T>
void single_max_pool(const PoolShape& s, const T* x, T* y) {
    max_pool_forward<T, 1>(s, x, y, nullptr);
}

template <class T>
void single_norm(const NormShape& s, const T* mean, const T* variance, const T* w,
                 const T* bias, T* x) {
    norm_forward<T, 1>(s, x, mean, variance, w, bias, nullptr, x);
}

template <class T>
void single_dense(int64_t D, int64_t O, const T* x, const T* w, const T* bias, T* y) {
    dense_forward<T, 1>(D, O, x, w, bias, nullptr, y);
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

template <class T, int L>
void lanes_to_rows(int64_t count, const T* x, T* rows, int64_t stride) {
    for (int64_t i = 0; i < count; ++i)
        for (int l = 0; l < L; ++l) rows[l * stride + i] = x[i * L + l];
}

// A block with one image computes what any other does.

template <class T, int L>
void lone_forward(const ConvShape& s, const T* x, const T* w, const T* bias, T* y, T*) {
    conv_forward<T, L>(s, x, w, bias, nullptr, y);
}

template <class T, int L>
void lone_input_gradient(const ConvShape& s, int64_t first, int64_t last, const T* w,
                         const T* dy, T* dx, T*) {
    conv_input_gradient<T, L>(s, first, last, w, dy, nullptr, nullptr, dx);
}

template <class T, int L>
void lone_weight_gradient(const ConvShape& s, const T* x, const T* dy, T* dw, T* db,
                          T*) {
    conv_weight_gradient<T, L>(s, x, dy, dw, db);
}

template <class T, int L>
constexpr Kernels<T> kTable = {
    "reference",
    L,
    6.5,
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
    single_dense<T>,
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
