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

// A block of one image: in all lanes of x, in the first lane of dy.
void Checker::lone_convolution(Sampler& sample) {
    const ConvShape s = sample_conv(sample);
    const int64_t taps = s.C / s.groups * s.KH * s.KW;
    Floats x(s.C * s.H * s.W * lanes_, sample), dy(s.O * s.OH * s.OW * lanes_, sample);
    for (int64_t i = 0; i < x.count(); ++i) x[i] = x[i - i % lanes_];
    for (int64_t i = 0; i < dy.count(); ++i)
        if (i % lanes_) dy[i] = 0.0f;
    const Floats w(s.O * taps, sample), bias(s.O, sample);
    const Doubles X = widen(x), W = widen(w), B = widen(bias), DY = widen(dy);
    const Doubles aX = widen(x, true), aW = widen(w, true), aB = widen(bias, true),
                  aDY = widen(dy, true);
    Floats scratch(lone_scratch(s), 7.0f);
    // Channels [0, cut) and the rest, which has to make no difference; where there are
    // groups, all at once.
    const int64_t cut = s.groups == 1 ? sample.between(0, s.O - 1) : 0;
    const int64_t lower = s.groups == 1 ? sample.between(0, s.C - 1) : 0;

    Floats y(dy.count(), 7.0f), dx(x.count(), 7.0f);
    Floats dw(w.count(), 0.25f), db(s.O, 0.25f);
    Doubles Y(dy.count()), aY(dy.count()), DX(x.count()), aDX(x.count());
    Doubles DW(w.count(), 0.25), DB(s.O, 0.25), aDW(w.count(), 0.25), aDB(s.O, 0.25);
    for (const auto& [first, last] : {std::pair(int64_t(0), cut), {cut, s.O}}) {
        if (first == last) continue;
        ConvShape part = s;
        part.O = last - first;
        const int64_t at = first * s.OH * s.OW * lanes_;
        fast_.lone_forward(part, x.data(), w.data() + first * taps, bias.data() + first,
                           y.data() + at, scratch.data());
        fast_.lone_weight_gradient(part, x.data(), dy.data() + at,
                                   dw.data() + first * taps, db.data() + first,
                                   scratch.data());
    }
    for (const auto& [first, last] : {std::pair(int64_t(0), lower), {lower, s.C}})
        if (first < last)
            fast_.lone_input_gradient(s, first, last, w.data(), dy.data(),
                                      dx.data() + first * s.H * s.W * lanes_,
                                      scratch.data());
    if (!scratch.intact()) fail("a lone kernel wrote outside of its scratch");
    wide_.lone_forward(s, X.data(), W.data(), B.data(), Y.data(), nullptr);
    wide_.lone_forward(s, aX.data(), aW.data(), aB.data(), aY.data(), nullptr);
    compare_sums("lone_forward " + named(s), y, Y, aY, taps + 1);
    wide_.lone_input_gradient(s, 0, s.C, W.data(), DY.data(), DX.data(), nullptr);
    wide_.lone_input_gradient(s, 0, s.C, aW.data(), aDY.data(), aDX.data(), nullptr);
    compare_sums("lone_input_gradient " + named(s), dx, DX, aDX,
                 s.O / s.groups * s.KH * s.KW);
    wide_.lone_weight_gradient(s, X.data(), DY.data(), DW.data(), DB.data(), nullptr);
    wide_.lone_weight_gradient(s, aX.data(), aDY.data(), aDW.data(), aDB.data(),
                               nullptr);
    compare_sums("lone_weight_gradient " + named(s), dw, DW, aDW, s.OH * s.OW + 1);
    compare_sums("lone bias gradient " + named(s), db, DB, aDB, s.OH * s.OW + 1);
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
