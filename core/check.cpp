#include "check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "dispatch.h"
#include "plan.h"
#include "random.h"

namespace striate {

namespace {

// One sum of K float products, in any order, is off by at most this much of the sum of
// its terms' magnitudes times the square root of K; the same bound is what the tables
// of two instruction sets may differ by (ARCHITECTURE.md, rule 3).
constexpr double kUnit = 4.0 / 16777216.0;
// Elementary functions are off by a few units in the last place of their result.
constexpr double kFunction = 8.0 / 16777216.0;
constexpr float kGuard = -12345.5f;
constexpr int64_t kBand = 64;

class Sampler {
  public:
    Sampler(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}
    int64_t between(int64_t low, int64_t high) {
        return low + int64_t(random_bits(seed_, stream_, position_++) %
                             uint64_t(high - low + 1));
    }
    double uniform() {
        return double(random_bits(seed_, stream_, position_++) >> 11) * 0x1p-52 - 1.0;
    }

  private:
    uint64_t seed_, stream_, position_ = 0;
};

// An array between two guard bands that no kernel may touch.
template <class T>
class Guarded {
  public:
    explicit Guarded(int64_t count, T value = T(0))
        : count_(count), data_(allocate<T>(count + 2 * kBand)) {
        for (int64_t i = 0; i < count + 2 * kBand; ++i) data_[i] = T(kGuard);
        for (int64_t i = 0; i < count; ++i) (*this)[i] = value;
    }
    Guarded(int64_t count, Sampler& sample) : Guarded(count) {
        for (int64_t i = 0; i < count; ++i) (*this)[i] = T(sample.uniform());
    }
    Guarded copy() const {
        Guarded other(count_);
        std::copy(data(), data() + count_, other.data());
        return other;
    }
    T* data() { return data_.get() + kBand; }
    const T* data() const { return data_.get() + kBand; }
    T& operator[](int64_t i) { return data()[i]; }
    const T& operator[](int64_t i) const { return data()[i]; }
    int64_t count() const { return count_; }
    bool intact() const {
        for (int64_t i = 0; i < kBand; ++i)
            if (data_[i] != T(kGuard) || data_[count_ + kBand + i] != T(kGuard))
                return false;
        return true;
    }

  private:
    int64_t count_;
    AlignedArray<T> data_;
};
using Floats = Guarded<float>;
using Doubles = Guarded<double>;

Doubles widen(const Floats& values, bool magnitudes = false) {
    Doubles wide(values.count());
    for (int64_t i = 0; i < values.count(); ++i)
        wide[i] = magnitudes ? std::fabs(double(values[i])) : double(values[i]);
    return wide;
}

double dot(const Doubles& a, const Doubles& b) {
    double sum = 0.0;
    for (int64_t i = 0; i < a.count(); ++i) sum += a[i] * b[i];
    return sum;
}

class Checker {
  public:
    Checker(const Kernels<float>& table, uint64_t seed) : fast_(table), seed_(seed) {}

    void run(int cases) {
        for (int i = 0; i < cases; ++i) {
            case_ = i;
            Sampler sample(seed_, uint64_t(i));
            convolution(sample);
            pooling(sample);
            dense(sample);
            normalization(sample);
            activations(sample);
            loss(sample);
            optimizers(sample);
            input(sample);
            augmentation(sample);
        }
    }
    std::vector<std::string> failures;

  private:
    void fail(const std::string& what) {
        failures.push_back(std::string(fast_.name) + ", case " + std::to_string(case_) +
                           ": " + what);
    }
    // |got - wanted| within bound[i] for every value, and the guards around intact.
    void compare(const std::string& what, const Floats& got, const Doubles& wanted,
                 const std::function<double(int64_t)>& bound) {
        if (!got.intact()) fail(what + " wrote outside of its result");
        for (int64_t i = 0; i < got.count(); ++i) {
            const double error = std::fabs(double(got[i]) - wanted[i]);
            if (error <= bound(i)) continue;
            return fail(what + " [" + std::to_string(i) + "] is " +
                        std::to_string(got[i]) + " but should be " +
                        std::to_string(wanted[i]) + " (off by " +
                        std::to_string(error / bound(i)) + " times the bound)");
        }
    }
    // For sums of `terms` products, whose magnitudes add up to magnitude[i].
    void compare_sums(const std::string& what, const Floats& got, const Doubles& wanted,
                      const Doubles& magnitude, int64_t terms) {
        compare(what, got, wanted, [&](int64_t i) {
            return kUnit * std::sqrt(double(terms)) * magnitude[i] + 1e-37;
        });
    }
    // <Ax, y> = <x, A'y>: what makes a backward pass the backward pass.
    void adjoint(const std::string& what, double one, double other, double magnitude) {
        if (std::fabs(one - other) > 1e-12 * magnitude + 1e-30)
            fail(what + ": <Ax, y> is " + std::to_string(one) + " but <x, A'y> is " +
                 std::to_string(other));
    }

    void convolution(Sampler& sample) {
        ConvShape s{};
        s.groups = sample.between(0, 3) ? 1 : sample.between(2, 4);
        const int64_t most = s.groups == 1 ? 33 : 5;
        s.C = s.groups * sample.between(1, sample.between(0, 1) ? 6 : most);
        s.O = s.groups * sample.between(1, sample.between(0, 1) ? 9 : most);
        const bool plain = sample.between(0, 1);
        s.KH = sample.between(1, 6);
        s.KW = sample.between(1, 6);
        s.stride_h = plain ? 1 : sample.between(1, 3);
        s.stride_w = plain ? 1 : sample.between(1, 3);
        s.dilation_h = plain ? 1 : sample.between(1, 3);
        s.dilation_w = plain ? 1 : sample.between(1, 3);
        s.OH = sample.between(1, 5);
        s.OW = sample.between(1, sample.between(0, 2) ? 9 : 23);
        // Up to stride - 1 rows and columns that no window reaches.
        s.H = (s.OH - 1) * s.stride_h + (s.KH - 1) * s.dilation_h + 1 +
              sample.between(0, s.stride_h - 1);
        s.W = (s.OW - 1) * s.stride_w + (s.KW - 1) * s.dilation_w + 1 +
              sample.between(0, s.stride_w - 1);
        const int64_t taps = s.C / s.groups * s.KH * s.KW;
        const Floats x(s.C * s.H * s.W * kLanes, sample), w(s.O * taps, sample);
        const Floats bias(s.O, sample), dy(s.O * s.OH * s.OW * kLanes, sample);
        const bool biased = sample.between(0, 1);
        const std::string name =
            "C=" + std::to_string(s.C) + " O=" + std::to_string(s.O) +
            " groups=" + std::to_string(s.groups) + " kernel=" + std::to_string(s.KH) +
            "x" + std::to_string(s.KW) + " stride=" + std::to_string(s.stride_h) + "x" +
            std::to_string(s.stride_w) + " dilation=" + std::to_string(s.dilation_h) +
            "x" + std::to_string(s.dilation_w) + " out=" + std::to_string(s.OH) + "x" +
            std::to_string(s.OW);
        const Doubles X = widen(x), W = widen(w), B = widen(bias), DY = widen(dy);
        const Doubles aX = widen(x, true), aW = widen(w, true), aB = widen(bias, true),
                      aDY = widen(dy, true);

        Floats y(dy.count(), 7.0f);
        Doubles Y(dy.count()), aY(dy.count());
        fast_.conv_forward(s, x.data(), w.data(), biased ? bias.data() : nullptr,
                           y.data());
        wide_.conv_forward(s, X.data(), W.data(), biased ? B.data() : nullptr,
                           Y.data());
        wide_.conv_forward(s, aX.data(), aW.data(), biased ? aB.data() : nullptr,
                           aY.data());
        compare_sums("conv_forward " + name, y, Y, aY, taps + 1);

        Floats dx(x.count(), 7.0f);
        Doubles DX(x.count()), aDX(x.count());
        fast_.conv_input_gradient(s, w.data(), dy.data(), dx.data());
        wide_.conv_input_gradient(s, W.data(), DY.data(), DX.data());
        wide_.conv_input_gradient(s, aW.data(), aDY.data(), aDX.data());
        compare_sums("conv_input_gradient " + name, dx, DX, aDX,
                     s.O / s.groups * s.KH * s.KW);

        // Added to what is there: a value of 0.25 stands for it.
        Floats dw(w.count(), 0.25f), db(s.O, 0.25f);
        Doubles DW(w.count(), 0.25), DB(s.O, 0.25), aDW(w.count(), 0.25),
            aDB(s.O, 0.25);
        fast_.conv_weight_gradient(s, x.data(), dy.data(), dw.data(), db.data());
        wide_.conv_weight_gradient(s, X.data(), DY.data(), DW.data(), DB.data());
        wide_.conv_weight_gradient(s, aX.data(), aDY.data(), aDW.data(), aDB.data());
        const int64_t terms = s.OH * s.OW * kLanes + 1;
        compare_sums("conv_weight_gradient " + name, dw, DW, aDW, terms);
        compare_sums("conv bias gradient " + name, db, DB, aDB, terms);

        if (biased) return;
        Doubles zero(w.count());
        wide_.conv_weight_gradient(s, X.data(), DY.data(), zero.data(), nullptr);
        const double one = dot(Y, DY);
        adjoint("conv_input_gradient " + name, one, dot(X, DX), dot(aY, aDY));
        adjoint("conv_weight_gradient " + name, one, dot(W, zero), dot(aY, aDY));
    }

    void pooling(Sampler& sample) {
        PoolShape s{};
        s.C = sample.between(1, 5);
        s.KH = sample.between(1, 4);
        s.KW = sample.between(1, 4);
        s.stride_h = sample.between(1, 4);
        s.stride_w = sample.between(1, 4);
        s.OH = sample.between(1, 6);
        s.OW = sample.between(1, 6);
        s.H = (s.OH - 1) * s.stride_h + s.KH + sample.between(0, 1);
        s.W = (s.OW - 1) * s.stride_w + s.KW + sample.between(0, 1);
        Floats x(s.C * s.H * s.W * kLanes, sample);
        // Few distinct values: ties, which go to the first in row-major order.
        const bool ties = sample.between(0, 1);
        if (ties)
            for (int64_t i = 0; i < x.count(); ++i) x[i] = std::round(x[i] * 2.0f);
        const int64_t outputs = s.C * s.OH * s.OW * kLanes;
        const Floats dy(outputs, sample);
        const Doubles X = widen(x), DY = widen(dy), aX = widen(x, true),
                      aDY = widen(dy, true);
        const int64_t terms = s.KH * s.KW;

        Floats y(outputs, 7.0f), dx(x.count(), 7.0f);
        Doubles Y(outputs), DX(x.count()), aY(outputs), aDX(x.count());
        Guarded<int32_t> winner(outputs), Winner(outputs);
        fast_.max_pool_forward(s, x.data(), y.data(), winner.data());
        wide_.max_pool_forward(s, X.data(), Y.data(), Winner.data());
        compare("max_pool_forward", y, Y, [](int64_t) { return 0.0; });
        for (int64_t i = 0; i < outputs; ++i)
            if (winner[i] != Winner[i]) {
                fail("max_pool_forward chose another maximum at " + std::to_string(i));
                break;
            }
        if (!winner.intact()) fail("max_pool_forward wrote outside of its winners");
        fast_.max_pool_backward(s, winner.data(), dy.data(), dx.data());
        wide_.max_pool_backward(s, Winner.data(), DY.data(), DX.data());
        wide_.max_pool_backward(s, Winner.data(), aDY.data(), aDX.data());
        compare_sums("max_pool_backward", dx, DX, aDX, terms);
        adjoint("max_pool_backward", dot(Y, DY), dot(X, DX), dot(aX, aDX) + 1.0);

        fast_.average_pool_forward(s, x.data(), y.data());
        wide_.average_pool_forward(s, X.data(), Y.data());
        wide_.average_pool_forward(s, aX.data(), aY.data());
        compare_sums("average_pool_forward", y, Y, aY, terms);
        fast_.average_pool_backward(s, dy.data(), dx.data());
        wide_.average_pool_backward(s, DY.data(), DX.data());
        wide_.average_pool_backward(s, aDY.data(), aDX.data());
        compare_sums("average_pool_backward", dx, DX, aDX, terms);
        adjoint("average_pool_backward", dot(Y, DY), dot(X, DX), dot(aX, aDX) + 1.0);
    }

    void dense(Sampler& sample) {
        const int64_t D = sample.between(1, 70), O = sample.between(1, 33);
        const int64_t N = sample.between(1, 3) * kLanes;
        const int64_t x_stride = (D + 15) / 16 * 16, dy_stride = (O + 15) / 16 * 16;
        const Floats x(D * kLanes, sample), w(O * D, sample), bias(O, sample);
        const Floats dy(O * kLanes, sample);
        const Doubles X = widen(x), W = widen(w), B = widen(bias), DY = widen(dy);
        const Doubles aX = widen(x, true), aW = widen(w, true), aB = widen(bias, true),
                      aDY = widen(dy, true);
        Floats y(O * kLanes, 7.0f), dx(D * kLanes, 7.0f);
        Doubles Y(y.count()), aY(y.count()), DX(dx.count()), aDX(dx.count());
        fast_.dense_forward(D, O, x.data(), w.data(), bias.data(), y.data());
        wide_.dense_forward(D, O, X.data(), W.data(), B.data(), Y.data());
        wide_.dense_forward(D, O, aX.data(), aW.data(), aB.data(), aY.data());
        compare_sums("dense_forward", y, Y, aY, D + 1);
        fast_.dense_input_gradient(D, O, w.data(), dy.data(), dx.data());
        wide_.dense_input_gradient(D, O, W.data(), DY.data(), DX.data());
        wide_.dense_input_gradient(D, O, aW.data(), aDY.data(), aDX.data());
        compare_sums("dense_input_gradient", dx, DX, aDX, O);

        Doubles plain(O * kLanes);
        wide_.dense_forward(D, O, X.data(), W.data(), nullptr, plain.data());
        adjoint("dense_input_gradient", dot(plain, DY), dot(X, DX), dot(aY, aDY));

        Floats rows(N * x_stride, sample), above(N * dy_stride, sample);
        for (int64_t n = 0; n < N; ++n)
            for (int64_t d = D; d < x_stride; ++d) rows[n * x_stride + d] = 0.0f;
        const Doubles Rows = widen(rows), Above = widen(above),
                      aRows = widen(rows, true), aAbove = widen(above, true);
        Floats dw(O * D, 0.0f), db(O, 0.0f);
        Doubles DW(O * D), DB(O), aDW(O * D), aDB(O);
        const int64_t middle = sample.between(0, O);
        for (const auto& [first, last] :
             {std::pair(int64_t(0), middle), std::pair(middle, O)}) {
            fast_.dense_weight_gradient(N, D, first, last, rows.data(), x_stride,
                                        above.data(), dy_stride, dw.data(), db.data());
            wide_.dense_weight_gradient(N, D, first, last, Rows.data(), x_stride,
                                        Above.data(), dy_stride, DW.data(), DB.data());
            wide_.dense_weight_gradient(N, D, first, last, aRows.data(), x_stride,
                                        aAbove.data(), dy_stride, aDW.data(),
                                        aDB.data());
        }
        compare_sums("dense_weight_gradient", dw, DW, aDW, N);
        compare_sums("dense bias gradient", db, DB, aDB, N);
    }

    void normalization(Sampler& sample) {
        NormShape s{};
        s.C = sample.between(1, 4);
        // Beyond one run of float sums now and then.
        s.P = sample.between(1, sample.between(0, 3) ? 40 : 600);
        s.real = int(sample.between(1, kLanes));
        s.epsilon = 1e-5;
        const int64_t values = s.C * s.P * kLanes;
        const std::string name = " C=" + std::to_string(s.C) +
                                 " P=" + std::to_string(s.P) +
                                 " real=" + std::to_string(s.real);
        Floats x(values, sample), dy(values, sample), variance(s.C, sample);
        // A mean far from zero is where a careless variance loses its digits.
        const float offset = sample.between(0, 1) ? 100.0f : 0.0f;
        for (int64_t i = 0; i < values; ++i) x[i] += offset;
        for (int64_t i = 0; i < values; ++i)
            if (i % kLanes >= s.real) dy[i] = 0.0f;
        for (int64_t c = 0; c < s.C; ++c) variance[c] = std::fabs(variance[c]) + 0.1f;
        Floats mean(s.C, sample), w(s.C, sample), bias(s.C, sample);
        for (int64_t c = 0; c < s.C; ++c) mean[c] += offset;
        const Doubles X = widen(x), DY = widen(dy), V = widen(variance);
        const Doubles M = widen(mean), W = widen(w), B = widen(bias);
        const double count = double(s.P * s.real), root = std::sqrt(count);

        Doubles first(s.C), second(s.C), First(s.C), Second(s.C);
        fast_.norm_moments(s, x.data(), first.data(), second.data());
        wide_.norm_moments(s, X.data(), First.data(), Second.data());
        for (int64_t c = 0; c < s.C; ++c) {
            // Deviations are taken from a mean that is rounded to float.
            const double off = kUnit * (std::fabs(First[c]) + 1.0);
            if (std::fabs(first[c] - First[c]) > root * off)
                fail("norm_moments: mean" + name);
            if (std::fabs(second[c] - Second[c]) > root * (kUnit * Second[c] + off))
                fail("norm_moments: deviation" + name);
        }

        Floats y(values, 7.0f);
        Doubles Y(values);
        fast_.norm_forward(s, x.data(), mean.data(), variance.data(), w.data(),
                           bias.data(), y.data());
        wide_.norm_forward(s, X.data(), M.data(), V.data(), W.data(), B.data(),
                           Y.data());
        const auto channel = [&](int64_t i) { return i / (s.P * kLanes); };
        const auto scale = [&](int64_t i) {
            const int64_t c = channel(i);
            return std::fabs(W[c]) / std::sqrt(V[c] + s.epsilon);
        };
        const auto off = [&](int64_t i) { return std::fabs(X[i] - M[channel(i)]); };
        compare("norm_forward" + name, y, Y, [&](int64_t i) {
            return kUnit * (scale(i) * off(i) + std::fabs(B[channel(i)]));
        });

        fast_.norm_weight_gradient(s, x.data(), mean.data(), variance.data(), dy.data(),
                                   first.data(), second.data());
        wide_.norm_weight_gradient(s, X.data(), M.data(), V.data(), DY.data(),
                                   First.data(), Second.data());
        for (int64_t c = 0; c < s.C; ++c) {
            double sum = 0.0, product = 0.0;
            for (int64_t i = c * s.P * kLanes; i < (c + 1) * s.P * kLanes; ++i) {
                sum += std::fabs(DY[i]);
                product += std::fabs(DY[i]) * off(i) / std::sqrt(V[c] + s.epsilon);
            }
            if (std::fabs(first[c] - First[c]) > kUnit * root * product + 1e-37)
                fail("norm_weight_gradient: weight" + name);
            if (std::fabs(second[c] - Second[c]) > kUnit * root * sum + 1e-37)
                fail("norm_weight_gradient: bias" + name);
        }

        const bool fixed = sample.between(0, 1);
        const Floats product(s.C, sample), sum(s.C, sample);
        const Doubles Product = widen(product), Sum = widen(sum);
        Floats dx = dy.copy();
        Doubles DX = widen(dx);
        fast_.norm_input_gradient(s, x.data(), mean.data(), variance.data(), w.data(),
                                  fixed ? nullptr : product.data(),
                                  fixed ? nullptr : sum.data(), dx.data());
        wide_.norm_input_gradient(s, X.data(), M.data(), V.data(), W.data(),
                                  fixed ? nullptr : Product.data(),
                                  fixed ? nullptr : Sum.data(), DX.data());
        compare("norm_input_gradient" + name, dx, DX, [&](int64_t i) {
            const int64_t c = channel(i);
            const double back = off(i) / std::sqrt(V[c] + s.epsilon) * Product[c];
            const double terms =
                std::fabs(DY[i]) + (fixed ? 0.0 : std::fabs(Sum[c]) + std::fabs(back));
            return kUnit * scale(i) * terms + 1e-37;
        });

        Floats total(values, 7.0f);
        Doubles Total(values);
        fast_.add(s.C * s.P, x.data(), dy.data(), total.data());
        wide_.add(s.C * s.P, X.data(), DY.data(), Total.data());
        compare("add", total, Total,
                [&](int64_t i) { return kUnit * std::fabs(Total[i]) + 1e-37; });
    }

    void activations(Sampler& sample) {
        const ActivationRule rules[] = {{Activation::relu, 0.0, 1.0, 1.0},
                                        {Activation::leaky_relu, 0.1, 1.0, 1.0},
                                        {Activation::tanh, 0.0, 1.0, 1.0},
                                        {Activation::tanh, 0.0, 1.7159, 2.0 / 3.0},
                                        {Activation::sigmoid, 0.0, 1.0, 1.0}};
        const int64_t count = sample.between(1, 9), values = count * kLanes;
        for (const ActivationRule& rule : rules) {
            Floats x(values, sample), y(values);
            const float reach = float(sample.between(1, 40));
            for (int64_t i = 0; i < values; ++i) x[i] *= reach;
            const Doubles X = widen(x);
            Doubles Y(values);
            fast_.activation_forward(rule, count, x.data(), y.data());
            wide_.activation_forward(rule, count, X.data(), Y.data());
            // sigmoid(x) = 1 / (1 + exp(-x)): an error in x of one unit grows with |x|.
            compare("activation_forward", y, Y, [&](int64_t i) {
                return kFunction * (std::fabs(Y[i]) * (1.0 + std::fabs(X[i]))) + 1e-37;
            });
            Floats dy(values, sample);
            Doubles DY = widen(dy), G = widen(dy, true);
            const Doubles output = widen(y);
            fast_.activation_backward(rule, count, y.data(), dy.data());
            wide_.activation_backward(rule, count, output.data(), DY.data());
            const double height = rule.height;
            compare("activation_backward", dy, DY, [&](int64_t i) {
                return kFunction * G[i] * (1.0 + rule.steepness * height) + 1e-37;
            });
        }
    }

    void loss(Sampler& sample) {
        const int64_t K = sample.between(1, 13);
        const double smoothing = sample.between(0, 1) ? 0.1 : 0.0;
        Floats logits(K * kLanes, sample), gradient(K * kLanes),
            weights(kLanes, sample);
        int32_t labels[kLanes], correct[kLanes], Correct[kLanes];
        double loss[kLanes], Loss[kLanes];
        const float reach = float(sample.between(1, 30));
        // Rounded half of the time: equal logits, where the first class wins.
        const bool ties = sample.between(0, 1);
        for (int64_t i = 0; i < logits.count(); ++i)
            logits[i] = ties ? std::round(logits[i] * 3.0f) : logits[i] * reach;
        int32_t partners[kLanes];
        Floats shares(kLanes, sample);
        for (int l = 0; l < kLanes; ++l) {
            labels[l] = int32_t(sample.between(-1, K - 1));
            partners[l] = int32_t(sample.between(0, K - 1));
            shares[l] = std::fabs(shares[l]) / 2.0f;
        }
        const bool mixed = sample.between(0, 1);
        const Doubles Logits = widen(logits), Weights = widen(weights);
        const Doubles Shares = widen(shares);
        Doubles Gradient(K * kLanes);
        fast_.softmax_cross_entropy(
            K, logits.data(), labels, mixed ? partners : nullptr, shares.data(),
            weights.data(), smoothing, gradient.data(), loss, correct);
        wide_.softmax_cross_entropy(
            K, Logits.data(), labels, mixed ? partners : nullptr, Shares.data(),
            Weights.data(), smoothing, Gradient.data(), Loss, Correct);
        const double unit = kFunction * std::sqrt(double(K)) * (3.0 + 2.0 * reach);
        compare("softmax_cross_entropy", gradient, Gradient,
                [&](int64_t) { return unit; });
        for (int l = 0; l < kLanes; ++l) {
            if (std::fabs(loss[l] - Loss[l]) > unit)
                fail("softmax_cross_entropy: loss");
            if (correct[l] != Correct[l]) fail("softmax_cross_entropy: correct");
        }
        Floats p(K * kLanes);
        Doubles P(K * kLanes);
        fast_.softmax(K, logits.data(), p.data());
        wide_.softmax(K, Logits.data(), P.data());
        compare("softmax", p, P, [&](int64_t) { return unit; });
    }

    void optimizers(Sampler& sample) {
        const int64_t count = sample.between(1, 100), slices = sample.between(1, 8);
        std::vector<Floats> slice;
        std::vector<Doubles> Slice;
        std::vector<const float*> parts;
        std::vector<const double*> Parts;
        Doubles magnitude(count);
        for (int64_t i = 0; i < slices; ++i) {
            slice.emplace_back(count, sample);
            Slice.push_back(widen(slice.back()));
            for (int64_t j = 0; j < count; ++j)
                magnitude[j] += std::fabs(Slice.back()[j]);
        }
        for (int64_t i = 0; i < slices; ++i) {
            parts.push_back(slice[size_t(i)].data());
            Parts.push_back(Slice[size_t(i)].data());
        }
        Floats sum(count);
        Doubles Sum(count);
        const double squares =
            fast_.sum_slices(count, slices, parts.data(), sum.data());
        const double Squares =
            wide_.sum_slices(count, slices, Parts.data(), Sum.data());
        compare_sums("sum_slices", sum, Sum, magnitude, slices);
        if (std::fabs(squares - Squares) > 1e-5 * (Squares + 1.0))
            fail("sum_slices: squares");

        for (const Optimizer kind :
             {Optimizer::sgd, Optimizer::adam, Optimizer::adamw}) {
            UpdateRule rule{};
            rule.kind = kind;
            rule.learning_rate = 0.1;
            rule.momentum = 0.9;
            rule.weight_decay = sample.between(0, 1) ? 0.01 : 0.0;
            rule.nesterov = sample.between(0, 1);
            rule.beta1 = 0.9;
            rule.beta2 = 0.999;
            rule.epsilon = 1e-8;
            rule.correction1 = 0.19;
            rule.correction2 = 0.002;
            rule.gradient_scale = 0.5;
            Floats w(count, sample), g(count, sample), first(count, sample),
                second(count, sample);
            for (int64_t i = 0; i < count; ++i)
                second[i] = std::fabs(second[i]) + 0.01f;
            Doubles W = widen(w), First = widen(first), Second = widen(second);
            const Doubles G = widen(g);
            const bool momentum = kind != Optimizer::sgd || sample.between(0, 1);
            fast_.update(rule, count, w.data(), g.data(),
                         momentum ? first.data() : nullptr, second.data());
            wide_.update(rule, count, W.data(), G.data(),
                         momentum ? First.data() : nullptr, Second.data());
            // Every value is a handful of operations on numbers below 12.
            const auto bound = [](int64_t) { return 12.0 * kFunction; };
            compare("update: weights", w, W, bound);
            compare("update: first moment", first, First, bound);
            compare("update: second moment", second, Second, bound);
            Floats mean(count, sample);
            Doubles Mean = widen(mean);
            W = widen(w);
            fast_.average(0.3, count, w.data(), mean.data());
            wide_.average(0.3, count, W.data(), Mean.data());
            compare("average", mean, Mean, bound);
        }
    }

    void input(Sampler& sample) {
        PixelShape s{};
        s.height = sample.between(1, 9);
        s.width = sample.between(1, 9);
        s.C = sample.between(1, 3);
        s.top = sample.between(0, 2);
        s.left = sample.between(0, 2);
        s.H = s.height + s.top + sample.between(0, 2);
        s.W = s.width + s.left + sample.between(0, 2);
        const int64_t size = s.height * s.width * s.C;
        Guarded<uint8_t> pixels(kLanes * size);
        const uint8_t* images[kLanes];
        for (int64_t i = 0; i < pixels.count(); ++i)
            pixels[i] = uint8_t(sample.between(0, 255));
        for (int l = 0; l < kLanes; ++l) images[l] = pixels.data() + l * size;
        const Floats table(s.C * 256, sample), fill(s.C, sample);
        Floats x(s.C * s.H * s.W * kLanes);
        Doubles X(x.count());
        fast_.gather_pixels(s, images, table.data(), fill.data(), x.data());
        wide_.gather_pixels(s, images, table.data(), fill.data(), X.data());
        compare("gather_pixels", x, X, [](int64_t) { return 0.0; });

        const int64_t count = s.C * s.H * s.W, stride = (count + 15) / 16 * 16;
        Floats rows(kLanes * stride, 0.0f);
        Doubles Rows(kLanes * stride);
        fast_.lanes_to_rows(count, x.data(), rows.data(), stride);
        wide_.lanes_to_rows(count, X.data(), Rows.data(), stride);
        compare("lanes_to_rows", rows, Rows, [](int64_t) { return 0.0; });
    }

    void augmentation(Sampler& sample) {
        PixelShape s{};
        s.C = sample.between(0, 1) ? 3 : sample.between(1, 4);
        s.H = sample.between(1, 12);
        s.W = sample.between(1, 12);
        const int64_t values = s.C * s.H * s.W * kLanes;
        const Floats frame(s.C * (s.H + 3) * (s.W + 3) * kLanes, sample);
        const Doubles Frame = widen(frame);
        Warp<float> warp{};
        Warp<double> Warped{};
        // Some images leave the frame altogether.
        Floats map(6 * kLanes, sample);
        for (int64_t i = 0; i < map.count(); ++i)
            map[i] *= i / kLanes % 3 == 2 ? 12.0f : 1.5f;
        const Doubles Map = widen(map);
        warp.map = map.data();
        Warped.map = Map.data();
        warp.spacing = Warped.spacing = double(sample.between(2, 9)) / 2.0;
        warp.GH = Warped.GH = int64_t(double(s.H - 1) / warp.spacing) + 4;
        warp.GW = Warped.GW = int64_t(double(s.W - 1) / warp.spacing) + 4;
        const Floats grid(2 * warp.GH * warp.GW * kLanes, sample);
        const Doubles Grid = widen(grid);
        Floats scratch(2 * warp.GW * kLanes);
        warp.scratch = scratch.data();
        if (sample.between(0, 1)) {
            warp.grid = grid.data();
            Warped.grid = Grid.data();
        }
        Floats x(values, 7.0f);
        Doubles X(values);
        fast_.resample(s, warp, frame.data(), x.data());
        wide_.resample(s, Warped, Frame.data(), X.data());
        if (!scratch.intact()) fail("resample wrote outside of its scratch");
        // A place is at most ten operations on numbers up to 1.5 (12 + 12) + 12 + 1,
        // and moving it by d changes the value by at most 2 d along each axis.
        compare("resample", x, X, [](int64_t) { return 2 * 2 * 10 * kUnit * 49.0; });

        const Floats tint(9 * kLanes, sample), gain(kLanes, sample),
            offset(s.C * kLanes, sample);
        Floats noise(s.C, sample), low(s.C, -1.5f), high(s.C, 1.25f);
        for (int64_t c = 0; c < s.C; ++c) noise[c] *= 0.01f;
        const Doubles Tint = widen(tint), Gain = widen(gain), Offset = widen(offset),
                      Noise = widen(noise), Low = widen(low), High = widen(high);
        uint32_t keys[kLanes];
        int32_t box[4 * kLanes];
        for (int l = 0; l < kLanes; ++l) {
            keys[l] = uint32_t(sample.between(0, 0xffffffff));
            for (int axis = 0; axis < 2; ++axis) {
                const int64_t side = axis ? s.W : s.H, first = sample.between(0, side);
                box[2 * axis * kLanes + l] = int32_t(first);
                box[(2 * axis + 1) * kLanes + l] = int32_t(sample.between(first, side));
            }
        }
        alignas(64) uint32_t noise_key[kLanes];
        std::memcpy(noise_key, keys, sizeof keys);
        const bool tinted = s.C == 3 && sample.between(0, 1),
                   noisy = sample.between(0, 1);
        X = widen(x);
        fast_.adjust(
            s,
            {tinted ? tint.data() : nullptr, gain.data(), offset.data(),
             noisy ? noise.data() : nullptr, noise_key, low.data(), high.data(), box},
            x.data());
        wide_.adjust(
            s,
            {tinted ? Tint.data() : nullptr, Gain.data(), Offset.data(),
             noisy ? Noise.data() : nullptr, noise_key, Low.data(), High.data(), box},
            X.data());
        // Six products of numbers up to 3, and the noise of up to 5.1.
        compare("adjust", x, X, [](int64_t) { return 6 * kUnit * 9.0; });

        Floats other(values, sample);
        const Doubles Other = widen(other);
        X = widen(x);
        fast_.blend(values / kLanes, gain.data(), other.data(), x.data());
        wide_.blend(values / kLanes, Gain.data(), Other.data(), X.data());
        compare("blend", x, X, [](int64_t) { return 3 * kUnit * 3.0; });
    }

    const Kernels<float>& fast_;
    const Kernels<double>& wide_ = reference_kernels<double>();
    uint64_t seed_;
    int case_ = 0;
};

}  // namespace

std::vector<std::string> check_kernels(const Kernels<float>& table, uint64_t seed,
                                       int cases) {
    Checker checker(table, seed);
    checker.run(cases);
    return checker.failures;
}

}  // namespace striate
