// The kernels for one image alone against their reference twins.
#include "checker.h"
#include "single.h"

namespace striate {

namespace {
constexpr int64_t kRoom = kMostLanes - 1;  // behind activations
}

void Checker::single_convolution(Sampler& sample) {
    const bool biased = sample.between(0, 1);
    const ConvShape s = sample_conv(sample);
    const int64_t taps = s.C / s.groups * s.KH * s.KW;
    const Floats x(s.C * s.H * s.W, sample, kRoom), w(s.O * taps, sample);
    const Floats bias(s.O, sample);
    const Doubles X = widen(x), W = widen(w), B = widen(bias);
    const Doubles aX = widen(x, true), aW = widen(w, true), aB = widen(bias, true);
    const int64_t outputs = s.O * s.OH * s.OW;
    Floats y(outputs, 7.0f, kRoom), scratch(single_scratch(s));
    Doubles Y(outputs), aY(outputs);
    fast_.single_conv(s, x.data(), w.data(), biased ? bias.data() : nullptr, y.data(),
                      scratch.data());
    wide_.single_conv(s, X.data(), W.data(), biased ? B.data() : nullptr, Y.data(),
                      nullptr);
    wide_.single_conv(s, aX.data(), aW.data(), biased ? aB.data() : nullptr, aY.data(),
                      nullptr);
    compare_sums("single_conv " + named(s), y, Y, aY, taps + 1);
    if (!scratch.intact()) fail("single_conv wrote outside of its scratch");
}

void Checker::single_dense(Sampler& sample) {
    const bool biased = sample.between(0, 1);
    const int64_t D = sample.between(1, 70), O = sample.between(1, 40);
    const Floats x(D, sample, kRoom), w(O * D, sample), bias(O, sample);
    const Doubles X = widen(x), W = widen(w), B = widen(bias);
    const Doubles aX = widen(x, true), aW = widen(w, true), aB = widen(bias, true);
    Floats y(O, 7.0f, kRoom);
    Doubles Y(O), aY(O);
    fast_.single_dense(D, O, x.data(), w.data(), biased ? bias.data() : nullptr,
                       y.data());
    wide_.single_dense(D, O, X.data(), W.data(), biased ? B.data() : nullptr, Y.data());
    wide_.single_dense(D, O, aX.data(), aW.data(), biased ? aB.data() : nullptr,
                       aY.data());
    compare_sums("single_dense D=" + std::to_string(D) + " O=" + std::to_string(O), y,
                 Y, aY, D + 1);
}

void Checker::single_pooling(Sampler& sample) {
    const PoolShape s = sample_pool(sample);
    const Floats x(s.C * s.H * s.W, sample, kRoom);
    const Doubles X = widen(x), aX = widen(x, true);
    Floats y(s.C * s.OH * s.OW, 7.0f, kRoom);
    Doubles Y(y.count()), aY(y.count());
    fast_.single_max_pool(s, x.data(), y.data());
    wide_.single_max_pool(s, X.data(), Y.data());
    compare("single_max_pool", y, Y, [](int64_t) { return 0.0; });
    fast_.single_average_pool(s, x.data(), y.data());
    wide_.single_average_pool(s, X.data(), Y.data());
    wide_.single_average_pool(s, aX.data(), aY.data());
    compare_sums("single_average_pool", y, Y, aY, s.KH * s.KW);
}

void Checker::single_normalization(Sampler& sample) {
    const NormShape s{sample.between(1, 5), sample.between(1, 40), 1, 1e-5};
    Floats variance(s.C, sample), x(s.C * s.P, sample, kRoom);
    for (int64_t c = 0; c < s.C; ++c) variance[c] = std::fabs(variance[c]) + 0.1f;
    const Floats mean(s.C, sample), w(s.C, sample), bias(s.C, sample);
    const Doubles M = widen(mean), V = widen(variance), W = widen(w), B = widen(bias);
    const Doubles before = widen(x);
    Doubles X = before.copy();
    fast_.single_norm(s, mean.data(), variance.data(), w.data(), bias.data(), x.data());
    wide_.single_norm(s, M.data(), V.data(), W.data(), B.data(), X.data());
    compare("single_norm", x, X, [&](int64_t i) {
        const int64_t c = i / s.P;
        const double scale = std::fabs(W[c]) / std::sqrt(V[c] + s.epsilon);
        return kUnit * (scale * std::fabs(before[i] - M[c]) + std::fabs(B[c]));
    });
}

}  // namespace striate
