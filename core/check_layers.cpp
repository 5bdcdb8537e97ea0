// Every layer's kernels against their reference twins.
#include "checker.h"

namespace striate {

ConvShape sample_conv(Sampler& sample) {
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
    return s;
}

const ActivationRule* sample_rectifier(Sampler& sample) {
    static const ActivationRule rules[] = {{Activation::relu, 0.0, 1.0, 1.0},
                                           {Activation::leaky_relu, 0.1, 1.0, 1.0}};
    const int64_t which = sample.between(0, 2);
    return which < 2 ? &rules[which] : nullptr;
}

std::string named(const ConvShape& s) {
    return "C=" + std::to_string(s.C) + " O=" + std::to_string(s.O) +
           " groups=" + std::to_string(s.groups) + " kernel=" + std::to_string(s.KH) +
           "x" + std::to_string(s.KW) + " stride=" + std::to_string(s.stride_h) + "x" +
           std::to_string(s.stride_w) + " dilation=" + std::to_string(s.dilation_h) +
           "x" + std::to_string(s.dilation_w) + " out=" + std::to_string(s.OH) + "x" +
           std::to_string(s.OW);
}

void Checker::convolution(Sampler& sample) {
    const ConvShape s = sample_conv(sample);
    const int64_t taps = s.C / s.groups * s.KH * s.KW;
    const Floats x(s.C * s.H * s.W * lanes_, sample), w(s.O * taps, sample);
    const Floats bias(s.O, sample), dy(s.O * s.OH * s.OW * lanes_, sample);
    const bool biased = sample.between(0, 1);
    // Rectified it is not linear: no adjoint. Nor is it off by more than the sum is.
    const ActivationRule* rectifier = biased ? sample_rectifier(sample) : nullptr;
    const std::string name = named(s);
    const Doubles X = widen(x), W = widen(w), B = widen(bias), DY = widen(dy);
    const Doubles aX = widen(x, true), aW = widen(w, true), aB = widen(bias, true),
                  aDY = widen(dy, true);

    Floats y(dy.count(), 7.0f);
    Doubles Y(dy.count()), aY(dy.count());
    fast_.conv_forward(s, x.data(), w.data(), biased ? bias.data() : nullptr, rectifier,
                       y.data());
    wide_.conv_forward(s, X.data(), W.data(), biased ? B.data() : nullptr, rectifier,
                       Y.data());
    wide_.conv_forward(s, aX.data(), aW.data(), biased ? aB.data() : nullptr, nullptr,
                       aY.data());
    compare_sums("conv_forward " + name, y, Y, aY, taps + 1);

    Floats dx(x.count(), 7.0f);
    Doubles DX(x.count()), aDX(x.count());
    fast_.conv_input_gradient(s, 0, s.C, w.data(), dy.data(), rectifier, x.data(),
                              dx.data());
    wide_.conv_input_gradient(s, 0, s.C, W.data(), DY.data(), rectifier, X.data(),
                              DX.data());
    wide_.conv_input_gradient(s, 0, s.C, aW.data(), aDY.data(), nullptr, nullptr,
                              aDX.data());
    compare_sums("conv_input_gradient " + name, dx, DX, aDX,
                 s.O / s.groups * s.KH * s.KW);

    // Added to what is there: a value of 0.25 stands for it.
    Floats dw(w.count(), 0.25f), db(s.O, 0.25f);
    Doubles DW(w.count(), 0.25), DB(s.O, 0.25), aDW(w.count(), 0.25), aDB(s.O, 0.25);
    fast_.conv_weight_gradient(s, x.data(), dy.data(), dw.data(), db.data());
    wide_.conv_weight_gradient(s, X.data(), DY.data(), DW.data(), DB.data());
    wide_.conv_weight_gradient(s, aX.data(), aDY.data(), aDW.data(), aDB.data());
    const int64_t terms = s.OH * s.OW * lanes_ + 1;
    compare_sums("conv_weight_gradient " + name, dw, DW, aDW, terms);
    compare_sums("conv bias gradient " + name, db, DB, aDB, terms);

    if (s.groups == 1) {
        const int64_t o = sample.between(0, s.O), c = sample.between(0, s.C - 1);
        const int64_t upper = o * s.OH * s.OW * lanes_, lower = c * s.H * s.W * lanes_;
        Floats Y2(y.count(), 7.0f), DX2(dx.count(), 7.0f), DW2(dw.count(), 0.25f);
        Floats DB2(s.O, 0.25f);
        for (const auto& [first, last] :
             {std::pair(int64_t(0), o), std::pair(o, s.O)}) {
            if (first == last) continue;
            ConvShape part = s;
            part.O = last - first;
            const int64_t at = first == 0 ? 0 : upper;
            fast_.conv_forward(part, x.data(), w.data() + first * taps,
                               biased ? bias.data() + first : nullptr, rectifier,
                               Y2.data() + at);
            fast_.conv_weight_gradient(part, x.data(), dy.data() + at,
                                       DW2.data() + first * taps, DB2.data() + first);
        }
        fast_.conv_input_gradient(s, c, s.C, w.data(), dy.data(), rectifier,
                                  x.data() + lower, DX2.data() + lower);
        if (c > 0)
            fast_.conv_input_gradient(s, 0, c, w.data(), dy.data(), rectifier, x.data(),
                                      DX2.data());
        compare_bits("conv_forward by channels " + name, Y2, y);
        compare_bits("conv_input_gradient by channels " + name, DX2, dx);
        compare_bits("conv_weight_gradient by channels " + name, DW2, dw);
        compare_bits("conv bias gradient by channels " + name, DB2, db);
    }

    if (biased) return;
    Doubles zero(w.count());
    wide_.conv_weight_gradient(s, X.data(), DY.data(), zero.data(), nullptr);
    const double one = dot(Y, DY);
    adjoint("conv_input_gradient " + name, one, dot(X, DX), dot(aY, aDY));
    adjoint("conv_weight_gradient " + name, one, dot(W, zero), dot(aY, aDY));
}

PoolShape sample_pool(Sampler& sample) {
    PoolShape s{};
    s.C = sample.between(1, 5);
    s.KH = sample.between(1, 4);
    s.KW = sample.between(1, 4);
    s.stride_h = sample.between(1, 4);
    s.stride_w = sample.between(1, 4);
    s.OH = sample.between(1, 6);
    s.OW = sample.between(1, sample.between(0, 2) ? 6 : 40);
    s.H = (s.OH - 1) * s.stride_h + s.KH + sample.between(0, 1);
    s.W = (s.OW - 1) * s.stride_w + s.KW + sample.between(0, 1);
    return s;
}

void Checker::pooling(Sampler& sample) {
    const PoolShape s = sample_pool(sample);
    Floats x(s.C * s.H * s.W * lanes_, sample);
    // Few distinct values: ties, which go to the first in row-major order.
    const bool ties = sample.between(0, 1);
    if (ties)
        for (int64_t i = 0; i < x.count(); ++i) x[i] = std::round(x[i] * 2.0f);
    const int64_t outputs = s.C * s.OH * s.OW * lanes_;
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
    const auto back = [&](const ActivationRule* rectifier) {
        fast_.max_pool_backward(s, winner.data(), rectifier, y.data(), dy.data(),
                                dx.data());
        wide_.max_pool_backward(s, Winner.data(), rectifier, Y.data(), DY.data(),
                                DX.data());
        compare_sums("max_pool_backward", dx, DX, aDX, terms + 1);
    };
    wide_.max_pool_backward(s, Winner.data(), nullptr, nullptr, aDY.data(), aDX.data());
    back(sample_rectifier(sample));
    back(nullptr);
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

void Checker::dense(Sampler& sample) {
    const int64_t D = sample.between(1, 70), O = sample.between(1, 33);
    const int64_t N = sample.between(1, 3) * lanes_;
    const int64_t x_stride = (D + 15) / 16 * 16, dy_stride = (O + 15) / 16 * 16;
    const Floats x(D * lanes_, sample), w(O * D, sample), bias(O, sample);
    const Floats dy(O * lanes_, sample);
    const Doubles X = widen(x), W = widen(w), B = widen(bias), DY = widen(dy);
    const Doubles aX = widen(x, true), aW = widen(w, true), aB = widen(bias, true),
                  aDY = widen(dy, true);
    Floats y(O * lanes_, 7.0f), dx(D * lanes_, 7.0f);
    Doubles Y(y.count()), aY(y.count()), DX(dx.count()), aDX(dx.count());
    const ActivationRule* rectifier = sample_rectifier(sample);
    fast_.dense_forward(D, O, x.data(), w.data(), bias.data(), rectifier, y.data());
    wide_.dense_forward(D, O, X.data(), W.data(), B.data(), rectifier, Y.data());
    wide_.dense_forward(D, O, aX.data(), aW.data(), aB.data(), nullptr, aY.data());
    compare_sums("dense_forward", y, Y, aY, D + 1);
    fast_.dense_input_gradient(D, O, 0, D, w.data(), dy.data(), dx.data());
    wide_.dense_input_gradient(D, O, 0, D, W.data(), DY.data(), DX.data());
    wide_.dense_input_gradient(D, O, 0, D, aW.data(), aDY.data(), aDX.data());
    compare_sums("dense_input_gradient", dx, DX, aDX, O);

    const int64_t unit = sample.between(0, O), input = sample.between(0, D);
    Floats Y2(y.count(), 7.0f), DX2(dx.count(), 7.0f);
    fast_.dense_forward(D, unit, x.data(), w.data(), bias.data(), rectifier, Y2.data());
    fast_.dense_forward(D, O - unit, x.data(), w.data() + unit * D, bias.data() + unit,
                        rectifier, Y2.data() + unit * lanes_);
    fast_.dense_input_gradient(D, O, 0, input, w.data(), dy.data(), DX2.data());
    fast_.dense_input_gradient(D, O, input, D, w.data(), dy.data(),
                               DX2.data() + input * lanes_);
    compare_bits("dense_forward by rows", Y2, y);
    compare_bits("dense_input_gradient by rows", DX2, dx);

    Doubles plain(O * lanes_);
    wide_.dense_forward(D, O, X.data(), W.data(), nullptr, nullptr, plain.data());
    adjoint("dense_input_gradient", dot(plain, DY), dot(X, DX), dot(aY, aDY));

    Floats rows(N * x_stride, sample), above(N * dy_stride, sample);
    for (int64_t n = 0; n < N; ++n)
        for (int64_t d = D; d < x_stride; ++d) rows[n * x_stride + d] = 0.0f;
    const Doubles Rows = widen(rows), Above = widen(above), aRows = widen(rows, true),
                  aAbove = widen(above, true);
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
                                    aAbove.data(), dy_stride, aDW.data(), aDB.data());
    }
    compare_sums("dense_weight_gradient", dw, DW, aDW, N);
    compare_sums("dense bias gradient", db, DB, aDB, N);
}

void Checker::normalization(Sampler& sample) {
    NormShape s{};
    s.C = sample.between(1, 4);
    // Beyond one run of float sums now and then.
    s.P = sample.between(1, sample.between(0, 3) ? 40 : 600);
    s.real = int(sample.between(1, lanes_));
    s.epsilon = 1e-5;
    const int64_t values = s.C * s.P * lanes_;
    const std::string name = " C=" + std::to_string(s.C) + " P=" + std::to_string(s.P) +
                             " real=" + std::to_string(s.real);
    Floats x(values, sample), dy(values, sample), variance(s.C, sample);
    // A mean far from zero is where a careless variance loses its digits.
    const float offset = sample.between(0, 1) ? 100.0f : 0.0f;
    for (int64_t i = 0; i < values; ++i) x[i] += offset;
    for (int64_t i = 0; i < values; ++i)
        if (i % lanes_ >= s.real) dy[i] = 0.0f;
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
    const ActivationRule* rectifier = sample_rectifier(sample);
    fast_.norm_forward(s, x.data(), mean.data(), variance.data(), w.data(), bias.data(),
                       rectifier, y.data());
    wide_.norm_forward(s, X.data(), M.data(), V.data(), W.data(), B.data(), rectifier,
                       Y.data());
    const auto channel = [&](int64_t i) { return i / (s.P * lanes_); };
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
    wide_.norm_weight_gradient(s, X.data(), M.data(), V.data(), DY.data(), First.data(),
                               Second.data());
    for (int64_t c = 0; c < s.C; ++c) {
        double sum = 0.0, product = 0.0;
        for (int64_t i = c * s.P * lanes_; i < (c + 1) * s.P * lanes_; ++i) {
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
    fast_.add(s.C * s.P, x.data(), dy.data(), rectifier, total.data());
    wide_.add(s.C * s.P, X.data(), DY.data(), rectifier, Total.data());
    compare("add", total, Total,
            [&](int64_t i) { return kUnit * std::fabs(Total[i]) + 1e-37; });
}

void Checker::activations(Sampler& sample) {
    const ActivationRule rules[] = {{Activation::relu, 0.0, 1.0, 1.0},
                                    {Activation::leaky_relu, 0.1, 1.0, 1.0},
                                    {Activation::tanh, 0.0, 1.0, 1.0},
                                    {Activation::tanh, 0.0, 1.7159, 2.0 / 3.0},
                                    {Activation::sigmoid, 0.0, 1.0, 1.0}};
    const int64_t count = sample.between(1, 9), values = count * lanes_;
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

}  // namespace striate
